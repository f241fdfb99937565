# SPDX-License-Identifier: Apache-2.0
"""holdfast as process 1 of a container: namespaces of its own, a root that is read-only or all but empty, nobody above it that reaps."""
import json
import os
import re
import shutil
import signal
import subprocess

from daemon import Daemon
from harness import (ROOT, Story, children_of, has_ended, http_get, is_root, main, program, state_of, unit_text, wait_ended, wait_for, web,
                     worker)

EXAMPLE = os.path.join(ROOT, "examples", "container")
PROGRAMS = ["holdfast", "holdfastd", "holdfast-keeper", "holdfast-webserver"]
# An ordinary user is root in a namespace of users, too.
NAMESPACES = ["unshare", "--pid", "--mount", "--net", "--fork", "--kill-child", "--mount-proc", *([] if is_root() else ["--user", "--map-root-user"])]


class Container(Daemon):
    """`pid`, out here, of what is process 1 in there; its end is that of unshare(1), which passes the status on."""

    def __init__(self, *arguments, ready=True, **more):
        super().__init__(*arguments, ready=False, **more)
        wait_for("process 1", lambda: children_of(self.process.pid) or self.process.poll() is not None)
        self.pid = next(iter(children_of(self.process.pid)), self.process.pid)
        if ready:
            self.wait_said("READY=1")

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            os.kill(self.pid, number)
        return self.wait_end()

    def processes(self):
        """{pid out here: pid in there}"""
        space = os.readlink("/proc/%d/ns/pid_for_children" % self.process.pid)
        found = {}
        for pid in os.listdir("/proc"):
            try:
                if pid.isdigit() and os.readlink("/proc/%s/ns/pid" % pid) == space:
                    with open("/proc/%s/status" % pid) as file:
                        found[int(pid)] = int(next(line for line in file if line.startswith("NSpid:")).split()[-1])
            except (OSError, StopIteration):
                pass
        return found

    def out_here(self, number):
        return next(pid for pid, inside in self.processes().items() if inside == number)

    def pid_of(self, name):
        return self.out_here(super().pid_of(name))

    def holdfastd(self):
        """Out here; None while there is none."""
        return next((pid for pid in children_of(self.pid) if os.path.basename(executable(pid)) == "holdfastd"), None)


def executable(pid):
    try:
        return os.readlink("/proc/%d/exe" % pid)
    except OSError:
        return ""


class AsProcessOne(Story):
    def setUp(self):
        super().setUp()
        probe = subprocess.run([*NAMESPACES, "true"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if probe.returncode != 0:
            self.skip("namespaces are not to be had: " + probe.stdout.strip())
        self.path = os.path.join(self.folder, "sockets", "web.sock")  # a path, because the network in there is not ours
        os.mkdir(os.path.dirname(self.path))

    def container(self, units=None, setup="", active=True, **more):
        """Ready, after the shell commands of `setup` in its namespaces."""
        wrapper = [*NAMESPACES, "sh", "-euc", "mount --make-rprivate /; ip link set lo up\n" + setup + '\nexec "$@"', "sh",
                   program("holdfast-keeper"), "--"]
        container = Container(self.folder, units, wrapper=wrapper, **more)
        self.daemons.append(container)
        for unit in (units or {}) if active else ():
            container.wait_whole(unit)
        return container

    def web(self, **more):
        return web("unix:" + self.path, **more)

    def shell(self, script):
        return unit_text((), {"type": "exec", "exec_start": ["/bin/sh", "-c", script]})

    # ---- life ----

    def test_it_serves_and_sigterm_ends_everything_with_status_0(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            container = self.container({"web": self.web(), "family": worker("children=%s/pids" % self.folder, "say=READY=1", sockets=())})
            self.assertEqual(http_get(self.path)[0], 200)
            self.assertEqual(container.processes()[container.pid], 1)
            processes = container.processes()
            self.assertGreaterEqual(len(processes), 7)
            self.assertEqual(container.end(number), 0)
            for pid in processes:
                wait_ended(pid)
            self.assertFalse(os.path.exists(self.path))
            self.assertEqual(set(os.listdir(container.runtime)), {"lock"}, "it stopped in order")

    def test_a_program_that_cannot_start_gives_the_container_its_status(self):
        for options, expected in ((["--no-such-option"], 2), (["--foreground", "--unit-dir", "/nowhere\n", "--runtime-dir", "/proc/1/fd"], 1)):
            container = self.container(options=options, ready=False, unit_folder=False, runtime_folder=False)
            self.assertEqual(container.wait_end(), expected, container.log_text())

    def test_a_hangup_applies_the_unit_files(self):
        container = self.container({"web": self.web()})
        container.write("web", self.web(release="2"))
        os.kill(container.pid, signal.SIGHUP)
        wait_for("the new release", lambda: "release=2" in http_get(self.path)[1])

    def test_a_restart_under_load_loses_no_request(self):
        container = self.container({"web": self.web()})
        load = self.load(self.path, seconds=1)
        while load.is_running():
            self.assert_says(container.run("restart", "web"), 0)
        self.assert_clean(load.finish(), least=100)

    def test_the_output_of_workers_is_that_of_the_container(self):
        self.container({"loud": self.shell("echo from the worker; exec sleep 1000")}).wait_log("from the worker")

    # ---- the duties of process 1 ----

    def test_orphans_are_reaped(self):
        noted = os.path.join(self.folder, "orphans")
        # Each is left by its parent at once, in a session of its own, and ends when the file is there.
        orphan = "(setsid sh -c 'echo $$ >> %s; until test -e %s.go; do sleep 0.01; done' &)" % (noted, noted)
        container = self.container({"parent": self.shell(";".join([orphan] * 5) + "; exec sleep 1000"), "web": self.web()})

        def orphans():
            with open(noted) as file:
                return [int(word) for word in file.read().split()]
        wait_for("five orphans", lambda: os.path.exists(noted) and len(orphans()) == 5)
        pids = [container.out_here(number) for number in orphans()]
        with open(noted + ".go", "w"):
            pass
        for pid in pids:
            wait_for("process %d to be reaped" % pid, lambda p=pid: state_of(p) is None)
        self.assertNotIn("Z", [state_of(pid) for pid in container.processes()])
        self.assertEqual(http_get(self.path)[0], 200)

    def test_a_worker_that_is_killed_is_reaped_and_replaced(self):
        container = self.container({"web": self.web()})
        killed = container.pid_of("web")
        os.kill(killed, signal.SIGKILL)
        wait_for("it to be reaped", lambda: state_of(killed) is None)
        container.wait_whole("web")
        self.assertEqual(http_get(self.path)[0], 200)

    def test_all_workers_end_with_the_container(self):
        container = self.container({"web": self.web(), "stubborn": worker("say=READY=1", "ignore-term", sockets=())})
        processes = container.processes()
        self.assertGreaterEqual(len(processes), 4)
        os.kill(container.pid, signal.SIGKILL)
        self.assertNotEqual(container.wait_end(), 0)
        for pid in processes:
            wait_for("process %d to end" % pid, lambda p=pid: has_ended(p))
        os.unlink(self.path)
        shutil.rmtree(container.runtime)  # what it would have taken away itself

    def test_a_killed_holdfastd_costs_nobody_under_load(self):
        container = self.container({"web": self.web()})
        load, pid = self.load(self.path, seconds=2), container.pid_of("web")
        for _ in range(3):
            killed = container.holdfastd()
            os.kill(killed, signal.SIGKILL)
            wait_for("the next holdfastd", lambda k=killed: container.holdfastd() not in (None, k) and container.run("status").status == 0)
        self.assert_clean(load.finish(), least=100)
        self.assertEqual(container.pid_of("web"), pid)

    # ---- where little is there ----

    def test_a_read_only_root_is_enough(self):
        """What must be writable: the runtime folder, and where the units have their socket paths."""
        os.mkdir(os.path.join(self.folder, "run"), 0o755)
        kept = "".join("mount --bind {0}/{1} {0}/{1}\n".format(self.folder, name) for name in ("run", "sockets"))
        container = self.container({"web": self.web()}, setup=kept + "mount -o remount,bind,ro /\n! test -w /etc")
        self.assertEqual(http_get(self.path)[0], 200)
        self.assert_says(container.run("restart", "web"), 0)
        self.assertEqual(container.end(), 0)

    def test_an_empty_etc_is_enough(self):
        container = self.container({"web": self.web()}, setup="mount -t tmpfs -o ro empty /etc\ntest -z \"$(ls -A /etc)\"")
        self.assertEqual(http_get(self.path)[0], 200)
        self.assert_says(container.run("restart", "web"), 0)

    def test_a_root_of_nothing_but_the_programs_and_their_libraries_is_enough(self):
        root = self.make_root({program(name): program(name) for name in PROGRAMS})
        container = self.container({"web": self.web()}, setup=self.enter(root))
        self.assertEqual(http_get(self.path)[0], 200)
        self.assert_says(container.run("restart", "web"), 0)
        self.assertTrue(executable(container.pid).startswith(root), "it is not the one out here")
        self.assertEqual(container.end(), 0)

    def test_the_example_with_what_its_containerfile_copies(self):
        with open(os.path.join(EXAMPLE, "Containerfile")) as file:
            text = file.read().rpartition("FROM ")[2]
        entrypoint = json.loads(re.search(r"^ENTRYPOINT (.*)$", text, re.M).group(1))
        copied = {name for name in PROGRAMS if "COPY --from=build /holdfast/programs/ /usr/bin/" in text}
        root = self.make_root({"/usr/bin/" + name: program(name) for name in copied})
        with open(os.path.join(EXAMPLE, "site.toml")) as file:
            unit = file.read().replace('"0.0.0.0:8080"', json.dumps("unix:" + self.path))
        self.assertIn("COPY examples/container/site.toml /etc/holdfast/units/\n", text)
        os.makedirs(root + "/etc/holdfast/units")
        with open(root + "/etc/holdfast/units/site.toml", "w") as file:
            file.write(unit)
        # holdfastd's options go behind the entrypoint, as those of `podman run` do.
        container = self.container(setup="shift 3; set -- %s \"$@\"\n%s" % (" ".join(entrypoint), self.enter(root)), options=(), unit_folder=False)
        container.wait_whole("site")
        load = self.load(self.path, seconds=1)
        self.assert_says(container.run("restart", "site"), 0)
        self.assert_clean(load.finish(), least=100)
        self.assertEqual(container.end(), 0)

    def make_root(self, programs):
        """{path in it: file}, and the libraries that `ldd` names."""
        root = os.path.join(self.folder, "root")
        listed = subprocess.run(["ldd", *programs.values()], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout
        libraries = {word for line in listed.splitlines() for word in line.split() if word.startswith("/") and not word.endswith(":")}
        for path, file in {**programs, **{library: library for library in libraries}}.items():
            os.makedirs(os.path.dirname(root + path), exist_ok=True)
            shutil.copy(file, root + path)
        return root

    def enter(self, root):
        """Shell commands. Of /dev and /proc there is what every container has, and the test's own folder is a volume."""
        return """
            cd {0}
            mkdir -p ./{1} proc dev etc
            mount --bind {1} ./{1}
            mount -t proc proc proc
            touch dev/null && mount --bind /dev/null dev/null
            set -- chroot {0} "$@" """.format(root, self.folder)


if __name__ == "__main__":
    main()
