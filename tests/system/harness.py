# SPDX-License-Identifier: Apache-2.0
"""What all system tests share: holdfastd in a folder of its own, its commands, its control socket, load on its units.

A test sees holdfast as a user does, from outside. It waits for events, never for time to pass; every wait has a deadline. What a
test started is gone at its end, and so is everything that holdfast made: that is checked after each test.

    HOLDFAST_BIN          folder of holdfast, holdfastd, holdfast-webserver, holdfast-load (or the first argument)
    HOLDFAST_TIME_FACTOR  all deadlines are multiplied by it (sanitizer builds are slower)
"""
import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

# What a test imports from here comes from there.
from common import (DEADLINE, FACTOR, HERE, NOBODY, PYTHON, ROOT, WORKER, as_user, children_of, command_of, free_port, has_ended, is_root,  # noqa: F401
                    program, state_of, status_of, wait_ended, wait_for, wait_gone)
from daemon import Answer, Control, Daemon  # noqa: F401


def main():
    """The main of every test file: PROGRAM [BIN] [unittest arguments]."""
    if len(sys.argv) > 1 and os.path.isdir(sys.argv[1]):
        os.environ["HOLDFAST_BIN"] = sys.argv.pop(1)
    os.environ["HOLDFAST_BIN"] = os.path.abspath(os.environ.get("HOLDFAST_BIN", ""))
    if not os.access(program("holdfastd"), os.X_OK):
        sys.exit("usage: %s FOLDER_OF_THE_PROGRAMS" % sys.argv[0])
    # What outlives its holdfastd comes to us, so that it is found.
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
    unittest.main(verbosity=2)


def tracer_of(pid):
    return int(status_of(pid)["TracerPid"])


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
    # Most stories are not about probation, and would wait for it.
    tables["rollout"] = {"probation": "0s", **tables.get("rollout", {})}
    for name, table in tables.items():
        lines += ["[%s]" % name] + ["%s = %s" % (k, toml(v)) for k, v in table.items()]
    for table in sockets:
        lines += ["[[socket]]"] + ["%s = %s" % (k, toml(v)) for k, v in table.items()]
    lines += ["[service]"] + ["%s = %s" % (k, toml(v)) for k, v in (service or {}).items()]
    return "\n".join(lines) + "\n"


def tcp(name="http", listen="127.0.0.1:0", **more):
    return {"name": name, "listen": listen, "non_blocking": True, **more}


def web(listen="127.0.0.1:0", arguments=(), release="1", type="notify", socket_more=None, rollout=None, steering=None, **service):
    """A unit of the example web server."""
    listens = listen if isinstance(listen, list) else [listen]
    names = ["http"] + ["http%d" % i for i in range(1, len(listens))]
    return unit_text([tcp(n, l, **(socket_more or {})) for n, l in zip(names, listens)],
                     {"type": type, "exec_start": [program("holdfast-webserver"), "--release", release, *arguments],
                      "timeout_start": "%ds" % (10 * FACTOR), **service},
                     rollout=rollout or {"drain_timeout": "%ds" % (10 * FACTOR)}, **({"steering": steering} if steering else {}))


def worker(*arguments, sockets=None, type="notify", rollout=None, share=None, steering=None, **service):
    """A unit of worker.py, the worker that does what it is told."""
    tables = {"rollout": rollout} if rollout else {}
    if share:
        tables["share"] = share
    if steering:
        tables["steering"] = steering
    return unit_text([tcp()] if sockets is None else sockets,
                     {"type": type, "exec_start": [PYTHON, "-I", "-S", WORKER, *arguments],
                      "timeout_start": "%ds" % (10 * FACTOR), **service}, **tables)


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


class Story(unittest.TestCase):
    """A test with a folder of its own; at its end nothing of it may be left."""
    longMessage = True

    def supervisor(self, daemon):
        """The holdfastd that the keeper `daemon` has now."""
        def find():
            return [pid for pid in children_of(daemon.pid) if "holdfastd" in command_of(pid) and state_of(pid) not in (None, "Z")]
        return wait_for("a holdfastd", find)[0]

    def kill(self, daemon):
        """SIGKILL to the holdfastd that the keeper `daemon` has now."""
        victim = self.supervisor(daemon)
        os.kill(victim, signal.SIGKILL)
        wait_for("its end", lambda: has_ended(victim))

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="hf-")
        os.chmod(self.folder, 0o755)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.daemons, self.loads = [], []
        self.children_before = set(children_of(os.getpid()))

    def daemon(self, units=None, folder=None, active=True, **more):
        """Started and ready; `active`: and so is each of the units (or the named ones), with all its workers."""
        where = self.folder if folder is None else os.path.join(self.folder, folder)
        os.makedirs(where, exist_ok=True)
        if more.get("uid") is not None:
            os.chown(where, more["uid"], more["uid"])
        daemon = Daemon(where, units, **more)
        self.daemons.append(daemon)
        for unit in (units or {}) if active is True else active or ():
            daemon.wait_whole(unit)
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
        if failed or problems:
            for daemon in self.daemons:
                print("---- log of holdfastd %d\n%s" % (daemon.pid, daemon.log_text()[-60000:]), file=sys.stderr)
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
        while left := set(children_of(os.getpid())) - self.children_before:  # what one leaves behind comes to us when it ends
            for pid in left:
                try:  # one that was killed may still be on its way out
                    wait_for("its end", lambda p=pid: has_ended(p), 1)
                except AssertionError:
                    problems.append("process %d: %s" % (pid, command_of(pid)))
                    os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        return problems

    def load(self, target, **more):
        self.loads.append(Load(target, **more))
        return self.loads[-1]

    # ---- what tests say often ----

    def skip(self, why):
        print("skipped: " + why)
        self.skipTest(why)

    def needs_strace(self):
        if shutil.which("strace") is None or subprocess.run(["strace", "-o", "/dev/null", "true"], check=False, capture_output=True).returncode:
            self.skip("strace is not there, or may not be used")

    @contextlib.contextmanager
    def injecting(self, pid, call, what):
        """While it is open, these system calls of the process go wrong: `error=ENOSPC`, `signal=SIGKILL:when=3` (strace(1), inject)."""
        with subprocess.Popen(["strace", "-qq", "-o", "/dev/null", "-p", str(pid), "-e", "trace=" + call, "-e", "inject=%s:%s" % (call, what)],
                              stderr=subprocess.DEVNULL) as tracer:
            try:
                wait_for("strace", lambda: tracer_of(pid) == tracer.pid)
                yield
            finally:
                tracer.terminate()

    def needs_root(self, why="it needs root"):
        if not is_root():
            self.skip(why)

    def needs_nobody(self):
        """As root: a second user to be."""
        self.needs_root("only root can become another user")
        probe = subprocess.run([program("holdfastd"), "--version"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               check=False, **as_user(NOBODY))
        if probe.returncode != 0:
            self.skip("user nobody may not execute the programs in %s" % os.environ["HOLDFAST_BIN"])

    def assert_clean(self, load, least=1):
        """No request failed."""
        self.assertEqual(load["failed"], 0, "%s; first: %s" % (load["failures"], load["first_failure"]))
        self.assertGreaterEqual(load["ok"], least)
        self.assertEqual(load["ok"], load["sent"])

    def assert_says(self, answer, status, *words):
        self.assertEqual(answer.status, status, answer)
        for word in words:
            self.assertIn(word, answer.text)
