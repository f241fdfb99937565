# SPDX-License-Identifier: Apache-2.0
"""holdfastd in a folder of its own, its command, and its control socket."""
import json
import os
import signal
import socket
import subprocess
import time

from common import DEADLINE, as_user, program, wait_for


class Control:
    """A client of control.sock: one Varlink conversation."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE)
        self.sock.connect(path)
        self.buffer = b""

    def send(self, method, more=False, **parameters):
        name = method if "." in method else "io.holdfast.Manager." + method
        call = {"method": name, "parameters": parameters, **({"more": True} if more else {})}
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


class Daemon:
    """holdfastd in `folder`: its units in folder/units, its sockets in folder/run, its log in folder/daemon.log."""

    def __init__(self, folder, units=None, options=("--foreground",), uid=None, environment=None, wrapper=(), unit_folder=True,
                 runtime_folder=True, stderr=None, ready=True, command=False, popen=None):
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
        # `command`: the wrapper names the program itself.
        command = [*wrapper, *([] if command else [program("holdfastd")]), *options]
        if unit_folder:
            command += ["--unit-dir", self.units]
        if runtime_folder:
            command += ["--runtime-dir", self.runtime]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log if stderr is None else stderr, start_new_session=True,
                env={**os.environ, "NOTIFY_SOCKET": path, **(environment or {})}, **as_user(uid), **(popen or {}))
        self.pid = self.process.pid
        self.is_kept = any("holdfast-keeper" in word for word in wrapper)
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
        """Under a keeper the one that is asked may be killed before it answers; then the next one is asked."""
        for _ in range(5 if self.is_kept else 0):
            try:
                with self.control() as control:
                    control.send(method, **parameters)
                    reply = control.receive()
            except (BrokenPipeError, ConnectionResetError):
                continue
            if reply is not None and "error" not in reply:
                return reply["parameters"]
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

    def wait_whole(self, unit):
        """Until it is active and each of its workers is ready: a pool is active when the first of them is."""
        self.wait_state(unit, "active")
        wait_for("every worker of %s to be ready" % unit, lambda: {w["state"] for w in self.workers(unit)} == {"ready"})

    # ---- what the kernel says of it ----

    def descriptors(self):
        return len(os.listdir("/proc/%d/fd" % self.pid))
