# SPDX-License-Identifier: Apache-2.0
"""A machine that systemd has booted, with holdfast installed: a Debian root file system, made once, in a container of its own."""
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))

from common import DEADLINE, FACTOR, children_of, state_of, wait_for  # noqa: E402,F401

PACKAGES = ["systemd", "systemd-sysv", "dbus", "dbus-user-session", "iproute2", "libpam-systemd", "procps", "python3"]
# What holdfast has nothing to do with, and half of the time that a boot takes.
NOT_STARTED = ["console-getty", "systemd-hwdb-update", "systemd-journal-catalog-update", "systemd-journal-flush", "systemd-logind",
               "systemd-network-generator", "systemd-remount-fs", "systemd-sysctl", "systemd-sysusers", "systemd-tmpfiles-setup-dev",
               "systemd-update-utmp", "systemd-update-utmp-runlevel", "systemd-user-sessions"]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def why_not():
    """Why this machine cannot; None if it can."""
    if os.geteuid() != 0:
        return "only root can boot a container"
    for tool, package in (("systemd-nspawn", "systemd-container"), ("mmdebstrap", "mmdebstrap"), ("nsenter", "util-linux"), ("ip", "iproute2")):
        if shutil.which(tool) is None:
            return "%s is not installed (tests/install-dependencies.sh systemd): no %s" % (package, tool)
    if cgroup_root() is None:
        return "there is no cgroup2 file system to write to"
    probe = subprocess.run(["unshare", "--mount", "--cgroup", "--net", "--pid", "--fork", "--mount-proc", "mount", "-t", "tmpfs", "none", "/mnt"],
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return None if probe.returncode == 0 else "namespaces are not to be had: " + probe.stdout.strip()


def cgroup_root():
    for root in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup"):
        if os.path.exists(root + "/cgroup.procs") and os.access(root, os.W_OK):
            return root
    return None


def debian():
    """The release of this machine, so that the libraries are those that the programs were linked with; a later one by HOLDFAST_SUITE."""
    if os.environ.get("HOLDFAST_SUITE"):
        return os.environ["HOLDFAST_SUITE"]
    with open("/etc/os-release", encoding="utf-8") as file:
        fields = dict(line.strip().split("=", 1) for line in file if "=" in line)
    return fields.get("VERSION_CODENAME", "bookworm").strip('"')


def root_file_system(suite=None, packages=None):
    """Made once, below build/, and never written to; whoever comes first makes it, the others wait."""
    suite, packages = suite or debian(), packages or PACKAGES
    name = "%s-%s" % (suite, hashlib.sha256(" ".join(packages).encode()).hexdigest()[:12])
    path = os.path.join(ROOT, "build", "roots", name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(path):
            print("making the root file system %s (once, about a minute)" % path, flush=True)
            shutil.rmtree(path + ".new", ignore_errors=True)
            made = subprocess.run(["mmdebstrap", "--variant=minbase", "--include=" + ",".join(packages), suite, path + ".new"],
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            if made.returncode != 0:
                shutil.rmtree(path + ".new", ignore_errors=True)
                return None, "mmdebstrap made no root file system: " + made.stdout.strip()[-300:]
            os.rename(path + ".new", path)
    return path, None


def install(build, layer, root):
    """What `cmake --install` puts where, and what the programs need beside it."""
    subprocess.run(["cmake", "--install", build], env={**os.environ, "DESTDIR": layer}, stdout=subprocess.DEVNULL, check=True)
    # A folder of the layer would hide the link of that name in the root.
    for name in set(os.listdir(layer)) & {"bin", "lib", "lib64", "sbin"}:
        if os.path.islink(os.path.join(root, name)):
            shutil.copytree(os.path.join(layer, name), os.path.join(layer, "usr", name), dirs_exist_ok=True)
            shutil.rmtree(os.path.join(layer, name))
    programs = os.path.join(layer, "opt")
    os.makedirs(programs)
    shutil.copy(os.path.join(build, "bin", "holdfast-webserver"), programs)
    shutil.copy(os.path.join(HERE, "client.py"), programs)
    for program in ("holdfastd", "holdfast-webserver"):
        for library in libraries(os.path.join(build, "bin", program)):
            if not os.path.exists(root + library) and not os.path.exists(root + "/usr" + library):
                os.makedirs(layer + "/usr/lib", exist_ok=True)
                shutil.copy(library, layer + "/usr/lib")  # of a sanitizer, say


def libraries(program):
    """The paths of the shared libraries that it is started with: none where it is linked statically."""
    listed = subprocess.run(["ldd", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if listed.returncode != 0 and "not a dynamic executable" not in listed.stderr:
        raise RuntimeError("ldd %s: %s" % (program, listed.stderr.strip()))
    paths = (next((word for word in line.split() if word.startswith("/")), None) for line in listed.stdout.splitlines())
    return [path for path in paths if path] if listed.returncode == 0 else []


class Answer:
    def __init__(self, arguments, done):
        self.arguments, self.status, self.out, self.err = arguments, done.returncode, done.stdout, done.stderr

    def __repr__(self):
        return "%s: %d\n%s%s" % (" ".join(self.arguments), self.status, self.out, self.err)


class Machine:
    """Booted; `files` are there before that: {path: text, or a link's target as a tuple of one}. `whole`: users can log in, too."""

    def __init__(self, root, installed, files=None, whole=False):
        self.folder = tempfile.mkdtemp(prefix="hf-machine-")
        self.name = "hf-machine-" + os.urandom(4).hex()  # of mkdtemp's letters nspawn takes some only
        self.cgroup = os.path.join(cgroup_root(), self.name)
        self.leader = None
        own = os.path.join(self.folder, "own")
        os.mkdir(own)
        os.mkdir(os.path.join(self.folder, "mount"))
        masked = {} if whole else {"/etc/systemd/system/%s.service" % name: ("/dev/null",) for name in NOT_STARTED}
        for path, content in {**masked, **(files or {})}.items():
            put(own + path, content)
        with open(self.console_path, "wb") as console:
            self.process = subprocess.Popen([os.path.join(HERE, "host.sh"), self.cgroup, ":".join((own, installed, root)),
                                             os.path.join(self.folder, "mount"), self.name],
                                            stdin=subprocess.DEVNULL, stdout=console, stderr=console)
        try:
            wait_for("systemd to boot", self.has_booted)
            self.run("systemctl", "is-system-running", "--wait")
        except BaseException:
            print(self.console(), file=sys.stderr)
            self.destroy()
            raise

    @property
    def console_path(self):
        return os.path.join(self.folder, "console")

    def console(self):
        with open(self.console_path, errors="replace", encoding="utf-8") as file:
            return file.read()

    def has_booted(self):
        if self.process.poll() is not None:
            raise AssertionError("the container ended with %d:\n%s" % (self.process.returncode, self.console()))
        for nspawn in children_of(self.process.pid):
            for leader in children_of(nspawn):
                if os.path.exists("/proc/%d/root/run/dbus/system_bus_socket" % leader):
                    self.leader = leader
        return self.leader is not None

    def destroy(self):
        """Whether it still runs or not, nothing of it is left."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

        def is_removed():
            for path, _, _ in os.walk(self.cgroup, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(path)
            return not os.path.exists(self.cgroup)
        wait_for("its cgroup to be empty", is_removed)
        shutil.rmtree(self.folder, ignore_errors=True)

    def power_off(self):
        """In order, as a machine should."""
        self.run("systemctl", "poweroff")
        return self.process.wait(DEADLINE)

    # ---- what is in it ----

    def path(self, path):
        return "/proc/%d/root%s" % (self.leader, path)

    def write(self, path, content):
        put(self.path(path), content)

    def exists(self, path):
        return os.path.lexists(self.path(path))

    def popen(self, *command, **more):
        return subprocess.Popen(["nsenter", "--target", str(self.leader), "--all", "--", *command], env={"PATH": PATH, "LC_ALL": "C.UTF-8"},
                                text=True, **more)

    def run(self, *command, deadline=DEADLINE):
        process = self.popen(*command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, err = process.communicate(timeout=deadline)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise AssertionError("%s did not end in %.0f s" % (" ".join(command), deadline)) from None
        return Answer(command, subprocess.CompletedProcess(command, process.returncode, out, err))

    def done(self, *command, **more):
        """The output of what must succeed."""
        answer = self.run(*command, **more)
        if answer.status != 0:
            raise AssertionError(repr(answer))
        return answer.out

    # ---- systemd, asked ----

    def shown(self, name, unit="holdfast.service"):
        return self.done("systemctl", "show", "--property=" + name, "--value", unit).strip()

    def journal(self, *arguments):
        """The fields of each entry."""
        self.run("journalctl", "--sync")
        return [json.loads(line) for line in self.done("journalctl", "--output=json", "--unit=holdfast", *arguments).splitlines()]

    def processes(self, unit="holdfast.service"):
        """{pid here: command} of its cgroup and those below."""
        group = self.shown("ControlGroup", unit)
        found = {}
        if group:
            # This side of the cgroup namespace it is below ours; nspawn has put systemd into a folder of its own.
            for path, _, _ in os.walk(self.cgroup):
                if path.endswith(group) or group + "/" in path:
                    with contextlib.suppress(FileNotFoundError), open(path + "/cgroup.procs", encoding="utf-8") as file:
                        found.update({int(pid): name_of(int(pid)) for pid in file.read().split()})
        return found

    def pid_of(self, program):
        pids = [pid for pid, name in self.processes().items() if name == program]
        return pids[0] if len(pids) == 1 else None


def name_of(pid):
    """The file it executes (which another may have replaced by now)."""
    try:
        return os.path.basename(os.readlink("/proc/%d/exe" % pid)).removesuffix(" (deleted)")
    except OSError:
        return "?"


def put(path, content):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if isinstance(content, tuple):
        os.symlink(content[0], path)
        return
    with open(path, "w", encoding="utf-8") as file:
        file.write(content)
