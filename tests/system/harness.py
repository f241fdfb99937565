# SPDX-License-Identifier: Apache-2.0
"""What all system tests share: holdfastd in a folder of its own, its commands, its control socket, load on its units.

A test sees holdfast as a user does, from outside. It waits for events, never for time to pass; every wait has a deadline. What a
test started is gone at its end, and so is everything that holdfast made: that is checked after each test.

    HOLDFAST_BIN          folder of holdfast, holdfastd, holdfast-webserver, holdfast-load (or the first argument)
    HOLDFAST_TIME_FACTOR  all deadlines are multiplied by it (sanitizer builds are slower)
"""
import ctypes
import json
import os
import random
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
FACTOR = float(os.environ.get("HOLDFAST_TIME_FACTOR", "1"))
DEADLINE = 20 * FACTOR  # of any single wait; nothing here takes a tenth of it
NOBODY = 65534
BIN = os.environ.get("HOLDFAST_BIN", "")
WORKER = os.path.join(HERE, "worker.py")
# Of the system, where there is one: every user may execute it.
PYTHON = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable


def main():
    """The main of every test file: PROGRAM [BIN] [unittest arguments]."""
    global BIN
    if len(sys.argv) > 1 and os.path.isdir(sys.argv[1]):
        BIN = sys.argv.pop(1)
    BIN = os.path.abspath(BIN)
    if not os.access(program("holdfastd"), os.X_OK):
        sys.exit("usage: %s FOLDER_OF_THE_PROGRAMS" % sys.argv[0])
    # What outlives its holdfastd comes to us, so that it is found.
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    unittest.main(verbosity=2)


def program(name):
    return os.path.join(BIN, name)


def is_root():
    return os.geteuid() == 0


def wait_for(what, condition, deadline=DEADLINE):
    """Polls: only for what the kernel tells by no event. Returns the condition's first true value."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("waited %.0f s for: %s" % (deadline, what))
        time.sleep(0.005)


def free_port(kind=socket.SOCK_STREAM):
    """Below the ports that the kernel gives to clients, so that no client takes it meanwhile."""
    while True:
        port = random.randrange(12000, 32000)
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def toml(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{ %s }" % ", ".join("%s = %s" % (json.dumps(k), toml(v)) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return "[%s]" % ", ".join(toml(v) for v in value)
    return json.dumps(value)


def unit_text(sockets=(), service=None, **tables):
    """A unit file: sockets as a list of dicts, service and other tables (rollout, unit, share) as dicts."""
    lines = []
    for name, table in tables.items():
        lines += ["[%s]" % name] + ["%s = %s" % (k, toml(v)) for k, v in table.items()]
    for table in sockets:
        lines += ["[[socket]]"] + ["%s = %s" % (k, toml(v)) for k, v in table.items()]
    lines += ["[service]"] + ["%s = %s" % (k, toml(v)) for k, v in (service or {}).items()]
    return "\n".join(lines) + "\n"


def tcp(name="http", listen="127.0.0.1:0", **more):
    return {"name": name, "listen": listen, "non_blocking": True, **more}


def web(listen="127.0.0.1:0", arguments=(), release="1", type="notify", socket_more=None, rollout=None, **service):
    """A unit of the example web server."""
    listens = listen if isinstance(listen, list) else [listen]
    names = ["http"] + ["http%d" % i for i in range(1, len(listens))]
    return unit_text([tcp(n, l, **(socket_more or {})) for n, l in zip(names, listens)],
                     {"type": type, "exec_start": [program("holdfast-webserver"), "--release", release, *arguments],
                      "timeout_start": "%ds" % (10 * FACTOR), **service},
                     rollout=rollout or {"drain_timeout": "%ds" % (10 * FACTOR)})


def worker(*arguments, sockets=None, type="notify", rollout=None, share=None, **service):
    """A unit of worker.py, the worker that does what it is told."""
    tables = {"rollout": rollout} if rollout else {}
    if share:
        tables["share"] = share
    return unit_text([tcp()] if sockets is None else sockets,
                     {"type": type, "exec_start": [PYTHON, "-I", "-S", WORKER, *arguments],
                      "timeout_start": "%ds" % (10 * FACTOR), **service}, **tables)


class Control:
    """A client of control.sock: one Varlink conversation."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE)
        self.sock.connect(path)
        self.buffer = b""

    def send(self, method, more=False, **parameters):
        call = {"method": "io.holdfast.Manager." + method, "parameters": parameters, **({"more": True} if more else {})}
        self.sock.sendall(json.dumps(call).encode() + b"\0")

    def receive(self, deadline=DEADLINE):
        """The next reply, or None at end of file."""
        end = time.monotonic() + deadline
        while b"\0" not in self.buffer:
            self.sock.settimeout(max(0.001, end - time.monotonic()))
            data = self.sock.recv(1 << 20)
            if not data:
                return None
            self.buffer += data
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **parameters):
        self.send(method, **parameters)
        reply = self.receive()
        if reply is None or "error" in reply:
            raise AssertionError("%s: %r" % (method, reply))
        return reply["parameters"]

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Answer:
    """What one run of `holdfast` said."""

    def __init__(self, arguments, status, out, err):
        self.arguments, self.status, self.out, self.err = arguments, status, out, err

    @property
    def text(self):
        return self.out + self.err

    @property
    def values(self):
        """Every JSON value on standard output."""
        values, rest = [], self.out.lstrip()
        while rest:
            value, end = json.JSONDecoder().raw_decode(rest)
            values.append(value)
            rest = rest[end:].lstrip()
        return values

    @property
    def json(self):
        return self.values[-1]

    def __repr__(self):
        return "holdfast %s: %d\n%s%s" % (" ".join(self.arguments), self.status, self.out, self.err)


def as_user(uid):
    """Arguments of Popen that make the child another user."""
    return {} if uid is None else {"user": uid, "group": uid, "extra_groups": []}


class Daemon:
    """holdfastd in `folder`: its units in folder/units, its sockets in folder/run, its log in folder/daemon.log."""

    def __init__(self, folder, units=None, options=("--foreground",), uid=None, environment=None, wrapper=(), unit_folder=True,
                 runtime_folder=True, stderr=None, ready=True):
        self.folder, self.uid = folder, uid
        self.units = os.path.join(folder, "units")
        self.runtime = os.path.join(folder, "run")
        os.makedirs(self.units, exist_ok=True)
        for name, text in (units or {}).items():
            self.write(name, text)
        self.log = os.path.join(folder, "daemon.log")
        path = os.path.join(folder, "notify-of-test")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        if os.path.exists(path):
            os.unlink(path)
        self.notify.bind(path)
        os.chmod(path, 0o777)
        self.said = ""
        command = [*wrapper, program("holdfastd"), *options]
        if unit_folder:
            command += ["--unit-dir", self.units]
        if runtime_folder:
            command += ["--runtime-dir", self.runtime]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log if stderr is None else stderr, start_new_session=True,
                env={**os.environ, "NOTIFY_SOCKET": path, **(environment or {})}, **as_user(uid))
        self.pid = self.process.pid
        self.status = None
        if ready:
            self.wait_said("READY=1")

    # ---- its end ----

    def wait_said(self, word, deadline=DEADLINE):
        """Until holdfastd has told its own supervisor `word`."""
        end = time.monotonic() + deadline
        while word not in self.said:
            self.notify.settimeout(0.05)
            try:
                self.said += self.notify.recv(4096).decode() + "\n"
            except TimeoutError:
                if self.process.poll() is not None:
                    raise AssertionError("holdfastd ended with %d:\n%s" % (self.process.returncode, self.log_text())) from None
                if time.monotonic() > end:
                    raise AssertionError("holdfastd never said %s:\n%s" % (word, self.log_text())) from None

    def wait_end(self, deadline=DEADLINE):
        self.status = self.process.wait(deadline)
        return self.status

    def end(self):
        """SIGTERM, and everything in order: status 0, nothing left in the runtime folder."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.wait_end()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.notify.close()

    def log_text(self):
        with open(self.log, errors="replace") as log:
            return log.read()

    def wait_log(self, text):
        """Its log is written by a thread of its own, a moment later."""
        wait_for("`%s` in its log" % text, lambda: text in self.log_text())

    # ---- its units ----

    def write(self, unit, text):
        """Writes a unit file as an editor does: whole, by rename."""
        path = os.path.join(self.units, unit + ".toml")
        with open(path + ".new", "w" if isinstance(text, str) else "wb") as file:
            file.write(text)
        os.rename(path + ".new", path)
        return path

    def remove(self, unit):
        os.unlink(os.path.join(self.units, unit + ".toml"))

    # ---- its command ----

    def popen(self, *arguments, uid=None, **more):
        return subprocess.Popen([program("holdfast"), "--runtime-dir", self.runtime, *arguments], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **as_user(uid), **more)

    def run(self, *arguments, uid=None, deadline=DEADLINE):
        process = self.popen(*arguments, uid=uid)
        try:
            out, err = process.communicate(timeout=deadline)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError("holdfast %s did not end in %.0f s:\n%s%s" % (arguments, deadline, out, err)) from None
        return Answer(arguments, process.returncode, out, err)

    # ---- its control socket ----

    @property
    def control_path(self):
        return os.path.join(self.runtime, "control.sock")

    def control(self):
        return Control(self.control_path)

    def call(self, method, **parameters):
        with self.control() as control:
            return control.call(method, **parameters)

    def unit(self, name):
        return self.call("Status", unit=name)["units"][0]

    def workers(self, name):
        return self.unit(name)["workers"]

    def pid_of(self, name):
        """Of its one serving worker that is ready."""
        pids = [w["pid"] for w in self.workers(name) if w["role"] == "serving" and w["state"] == "ready"]
        assert len(pids) == 1, self.unit(name)
        return pids[0]

    def sockets(self, name):
        return self.call("Sockets", unit=name)["sockets"]

    def port(self, name, socket_name=None):
        return next(s["port"] for s in self.sockets(name) if socket_name in (None, s["name"]))

    def last_event(self):
        events = self.call("Events")["events"]
        return events[-1]["number"] if events else 0

    def wait_event(self, kind, unit=None, since=0, where=lambda event: True, deadline=DEADLINE):
        """The first event after number `since` that is `kind` (and of `unit`, and for which `where` is true)."""
        end = time.monotonic() + deadline
        seen = []
        with self.control() as control:
            control.send("Events", more=True, follow=True, since=since)
            while True:
                try:
                    reply = control.receive(end - time.monotonic())
                except TimeoutError:
                    reply = None
                if reply is None or "parameters" not in reply or "error" in reply:
                    raise AssertionError("no event %s of %s; got:\n%s" % (kind, unit, "\n".join(seen[-40:])))
                for event in reply["parameters"]["events"]:
                    seen.append("%s %s: %s" % (event["kind"], event["unit"], event["text"]))
                    if event["number"] > since and event["kind"] == kind and unit in (None, event["unit"]) and where(event):
                        return event

    def wait_state(self, unit, *states):
        def there():
            now = self.unit(unit)
            if "a fault in holdfast itself" in (now["problem"] or ""):
                raise AssertionError(now["problem"])
            return now["state"] in states
        return wait_for("%s to be %s" % (unit, " or ".join(states)), there)

    # ---- what the kernel says of it ----

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.pid))


def children_of(pid):
    found = []
    try:
        for task in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/children" % (pid, task)) as file:
                found += [int(word) for word in file.read().split()]
    except FileNotFoundError:
        pass
    return found


def state_of(pid):
    """One letter as in ps(1); None when there is no such process."""
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def command_of(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return "?"


def wait_gone(pid):
    wait_for("process %d (%s) to be gone" % (pid, command_of(pid)), lambda: state_of(pid) is None)


def has_ended(pid):
    return state_of(pid) in (None, "Z", "X")


def wait_ended(pid):
    """It may be somebody's zombie still."""
    wait_for("process %d (%s) to end" % (pid, command_of(pid)), lambda: has_ended(pid))


def http_get(target, path="/", timeout=DEADLINE):
    """(status, body) of one request; target is a port or a unix path."""
    sock = connect(target, timeout)
    with sock:
        sock.sendall(("GET %s HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n" % path).encode())
        return read_answer(sock)


def connect(target, timeout=DEADLINE):
    sock = socket.socket(socket.AF_INET if isinstance(target, int) else socket.AF_UNIX)
    sock.settimeout(timeout)
    try:
        sock.connect(("127.0.0.1", target) if isinstance(target, int) else target)
    except BaseException:
        sock.close()
        raise
    return sock


def read_answer(sock):
    data = b""
    while True:
        more = sock.recv(1 << 16)
        if not more:
            break
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


class Load:
    """holdfast-load on a port, an address or a unix path, from now for `seconds`."""

    def __init__(self, target, seconds=1.5, rate=400, keep_alive=False, connections=16):
        self.seconds = seconds * min(FACTOR, 2)
        target = "127.0.0.1:%d" % target if isinstance(target, int) else "unix:%s" % target if target[0] in "/@" else target
        self.process = subprocess.Popen(
            [program("holdfast-load"), "--target", target, "--rate", str(rate), "--duration", "%dms" % (self.seconds * 1000),
             "--timeout", "%ds" % (10 * FACTOR), "--json", "--answers"]
            + (["--keep-alive", "--connections", str(connections)] if keep_alive else []),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def is_running(self):
        return self.process.poll() is None

    def kill(self):
        """For a test that failed in the midst of it."""
        if self.is_running():
            self.process.kill()
            self.process.communicate()

    def finish(self):
        out, err = self.process.communicate(timeout=self.seconds + DEADLINE * 2)
        if not out:
            raise AssertionError("holdfast-load: %s" % err)
        return json.loads(out)


def known_bug(test):
    """The test says how it should be; it fails, and what it leaves behind is cleared away. Take the mark off with the bug."""
    test.is_known_bug = True
    return unittest.expectedFailure(test)


class Story(unittest.TestCase):
    """A test with a folder of its own; at its end nothing of it may be left."""
    longMessage = True

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="hf-")
        os.chmod(self.folder, 0o755)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.daemons, self.loads = [], []
        self.children_before = set(children_of(os.getpid()))

    def daemon(self, units=None, folder=None, active=True, **more):
        """Started and ready; `active`: and so is each of the units (or the named ones)."""
        where = self.folder if folder is None else os.path.join(self.folder, folder)
        os.makedirs(where, exist_ok=True)
        if more.get("uid") is not None:
            os.chown(where, more["uid"], more["uid"])
        daemon = Daemon(where, units, **more)
        self.daemons.append(daemon)
        for unit in (units or {}) if active is True else active or ():
            daemon.wait_state(unit, "active")
        return daemon

    def tearDown(self):
        failed = any(error for _, error in self._outcome.errors) if hasattr(self._outcome, "errors") else \
            any(test is self for test, _ in self._outcome.result.failures + self._outcome.result.errors)
        problems = []
        for load in self.loads:
            load.kill()
        for daemon in self.daemons:
            problems += self.end_of(daemon)
        problems += [*self.left_in_folders(), *self.end_of_children()]
        if getattr(getattr(self, self._testMethodName), "is_known_bug", False):
            return
        if failed or problems:
            for daemon in self.daemons:
                print("---- log of holdfastd %d\n%s" % (daemon.pid, daemon.log_text()[-6000:]), file=sys.stderr)
        if problems:
            self.fail("left behind:\n" + "\n".join(problems))

    def end_of(self, daemon):
        problems = []
        try:
            ended_before = daemon.status is not None
            status = daemon.status if ended_before else daemon.end()
            if status != 0 and not ended_before:
                problems.append("holdfastd ended with %d on SIGTERM" % status)
        except subprocess.TimeoutExpired:
            problems.append("holdfastd did not end on SIGTERM")
        finally:
            daemon.kill()
        return problems

    def left_in_folders(self):
        for folder in {daemon.runtime for daemon in self.daemons}:
            left = set(os.listdir(folder)) if os.path.isdir(folder) else set()
            if left - {"lock", "log"}:
                yield "in the runtime folder: %s" % sorted(left)

    def end_of_children(self):
        """What came to us because its parent is gone; zombies are only reaped."""
        problems = []
        for pid in set(children_of(os.getpid())) - self.children_before:
            try:  # one that was killed may still be on its way out
                wait_for("its end", lambda p=pid: state_of(p) in ("Z", None), 1)
            except AssertionError:
                problems.append("process %d: %s" % (pid, command_of(pid)))
                os.kill(pid, signal.SIGKILL)
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:
                pass
        return problems

    def load(self, target, **more):
        self.loads.append(Load(target, **more))
        return self.loads[-1]

    # ---- what tests say often ----

    def skip(self, why):
        print("skipped: " + why)
        self.skipTest(why)

    def needs_root(self, why="it needs root"):
        if not is_root():
            self.skip(why)

    def needs_nobody(self):
        """As root: a second user to be."""
        self.needs_root("only root can become another user")
        probe = subprocess.run([program("holdfastd"), "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               check=False, **as_user(NOBODY))
        if probe.returncode != 0:
            self.skip("user nobody may not execute the programs in %s" % BIN)

    def assert_clean(self, load, least=1):
        """No request failed."""
        self.assertEqual(load["failed"], 0, "%s; first: %s" % (load["failures"], load["first_failure"]))
        self.assertGreaterEqual(load["ok"], least)
        self.assertEqual(load["ok"], load["sent"])

    def assert_says(self, answer, status, *words):
        self.assertEqual(answer.status, status, answer)
        for word in words:
            self.assertIn(word, answer.text)
