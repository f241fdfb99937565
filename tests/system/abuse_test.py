# SPDX-License-Identifier: Apache-2.0
"""Garbage, floods, and no resources left: holdfastd goes on, keeps nothing of it, and restarts lose no client meanwhile (P4 to P6)."""
import os
import resource
import signal
import socket
import struct
import subprocess
import threading
import time

from harness import FACTOR, Story, as_user, connect, http_get, main, read_answer, tcp, unit_text, wait_for, web

JUNK = [b"", b"\0", b"\0" * 4000, os.urandom(3000), b"READY=1", b"READY=1\nMAINPID=1\nSTATUS=" + b"x" * 3000, b"FDSTORE=1\nFDNAME=x", b"=" * 4000,
        b"BARRIER=1", b"MAINPID=99999999999999999999", b"EXTEND_TIMEOUT_USEC=-1", b"\xff" * 2000, b"A" * 60000, b"STOPPING=1\n" * 300]
CALLS = [b"{}\0", b"\0", b"null\0", b"[]\0", b"{\"method\":1}\0", b"{\"method\":\"io.holdfast.Manager.Nothing\"}\0", b"{" * 10000 + b"\0", os.urandom(5000) + b"\0",
         b"GET / HTTP/1.1\r\n\r\n", b"{\"method\":\"io.holdfast.Manager.Status\",\"parameters\":{\"unit\":7}}\0", b"\xff\0", b"{\"method\":\"" + b"x" * 200000 + b"\"}\0"]


class Flood(threading.Thread):
    """Repeats `act` until it is stopped, `least` times at least."""

    def __init__(self, act, least):
        super().__init__()
        self.act, self.least, self.count, self.problem = act, least, 0, None
        self.stopping = threading.Event()

    def run(self):
        try:
            while self.count < self.least or not self.stopping.is_set():
                self.act(self.count)
                self.count += 1
        except Exception as problem:  # shown by the test, which would wait for ever else
            self.problem = problem


class Abuse(Story):
    def while_restarting(self, act, least, seconds=2):
        """A restart under load, again and again, while `act` floods; holdfastd has as few descriptors afterwards."""
        daemon = self.daemon({"web": web()})
        # From here on the program of the release before is held, which `rollout undo` would start.
        self.assert_says(daemon.run("restart", "web"), 0)
        before = daemon.descriptors()
        flood = Flood(lambda i: act(daemon, i), least)
        load = self.load(daemon.port("web"), seconds=seconds, rate=200)
        flood.start()
        try:
            while load.is_running():
                self.assert_says(daemon.run("restart", "web"), 0)
        finally:
            flood.stopping.set()
            flood.join()
        if flood.problem:
            raise flood.problem
        self.assert_clean(load.finish(), least=100)
        self.assertGreaterEqual(flood.count, least)
        wait_for("as few descriptors as before", lambda: daemon.descriptors() <= before)
        self.assertEqual(daemon.unit("web")["state"], "active")
        self.assertIsNone(daemon.workers("web")[0]["status"])
        return daemon

    def test_a_hundred_thousand_datagrams_on_the_notify_socket(self):
        sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(sender.close)
        fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(250)]
        self.addCleanup(lambda: [os.close(fd) for fd in fds])

        def send(daemon, i):
            path, junk = os.path.join(daemon.runtime, "notify"), JUNK[i % len(JUNK)]
            if i % 50 == 0:  # with descriptors, up to as many as one message carries
                rights = struct.pack("%di" % (1 + i // 50 % 250), *fds[:1 + i // 50 % 250])
                sender.sendmsg([junk or b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)], 0, path)
            else:
                sender.sendto(junk, path)
        self.while_restarting(send, 100000)

    def test_garbage_on_the_control_socket(self):
        def abuse(daemon, i):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(20 * FACTOR)
                try:
                    sock.connect(daemon.control_path)
                    sock.sendall(CALLS[i % len(CALLS)])
                    if i % 3 == 0:
                        sock.recv(100)
                    elif i % 3 == 1:
                        with open("/dev/null") as null:
                            socket.send_fds(sock, [b"{"], [null.fileno()] * 20)
                except (BrokenPipeError, ConnectionResetError):
                    pass  # it hangs up on such people
        self.while_restarting(lambda daemon, i: abuse(daemon, i if i % 12 != 8 or i % 3 else i + 1), 1000)

    def test_requests_sent_faster_than_their_answers_are_read(self):
        def ask(daemon, _):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(daemon.control_path)
                sock.settimeout(0.2)
                call = b'{"method":"io.holdfast.Manager.Status"}\0'
                try:
                    for _ in range(200):
                        sock.sendall(call * 20)
                except (TimeoutError, BrokenPipeError, ConnectionResetError):
                    pass  # it does not read on before we do
        self.while_restarting(ask, 3)

    def test_more_clients_than_there_are_places_leave_one_for_the_operator(self):
        daemon = self.daemon({"web": web()})
        clients = []
        for _ in range(300):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(daemon.control_path)
            clients.append(sock)
        status = daemon.run("status", "web")
        self.assertIn(status.status, (0, 1, 6), status)  # one client too many is told so
        for sock in clients:
            sock.close()
        wait_for("places again", lambda: daemon.run("status", "web").status == 0)

    def test_a_client_that_is_stopped_holds_nobody_up(self):
        daemon = self.daemon({"web": web()})
        follower = daemon.popen("events", "--follow")
        follower.stdout.readline()
        os.kill(follower.pid, signal.SIGSTOP)
        try:
            for _ in range(100):
                self.assert_says(daemon.run("restart", "web"), 0)
        finally:
            os.kill(follower.pid, signal.SIGCONT)
            follower.kill()
            follower.communicate()

    # ---- no descriptors, no processes ----

    def test_a_daemon_without_descriptors_says_so_survives_and_recovers(self):
        daemon = self.daemon({"web": web(), "spare": web()})
        soft, hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (daemon.descriptors() + 3, hard))
        load = self.load(daemon.port("web"), seconds=1.5)
        clients = []
        for _ in range(1000):
            sock = socket.socket(socket.AF_UNIX)
            sock.setblocking(False)
            try:
                sock.connect(daemon.control_path)
            except BlockingIOError:  # its queue is full, as it should be
                sock.close()
                break
            clients.append(sock)
        # Nothing can be accepted or forked; what runs serves on, and holdfastd does not spin.
        before = self.cpu_time(daemon)
        began = time.monotonic()
        load_result = load.finish()
        spent = (self.cpu_time(daemon) - before) / (time.monotonic() - began)
        self.assert_clean(load_result, least=100)
        self.assertLess(spent, 0.5, "it spins")
        for sock in clients:
            sock.close()
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (soft, hard))
        self.assert_says(daemon.run("restart", "web"), 0)

    def cpu_time(self, daemon):
        with open("/proc/%d/stat" % daemon.pid) as file:
            words = file.read().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def test_a_restart_without_descriptors_fails_in_words_and_the_old_worker_stays(self):
        if FACTOR > 1:
            self.skip("a sanitizer needs descriptors itself: without any it calls good objects bad")
        daemon = self.daemon({"web": web()})
        pid = daemon.pid_of("web")
        with daemon.control() as control:
            control.call("Version")
            soft, hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (daemon.descriptors(), hard))
            control.send("Restart", unit="web")
            reply = control.receive()["parameters"]
            self.assertFalse(reply["ok"])
            self.assertIn("Too many open files", reply["message"])
            self.assertEqual([w["pid"] for w in control.call("Status", unit="web")["units"][0]["workers"]], [pid])
            self.assertEqual(http_get(control.call("Sockets", unit="web")["sockets"][0]["port"])[0], 200)
            resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (soft, hard))
        self.assert_says(daemon.run("restart", "web"), 0)

    def test_apply_of_more_listeners_than_descriptors_says_so_and_changes_nothing(self):
        daemon = self.daemon({"web": web()})
        held = daemon.sockets("web")
        soft, hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (daemon.descriptors() + 20, hard))
        daemon.write("web", web(["127.0.0.1:0"] + ["unix:%s/%d" % (self.folder, i) for i in range(50)]))
        self.assert_says(daemon.run("apply"), 1, "web", "no descriptor left")
        self.assertEqual(daemon.sockets("web"), held)
        self.assertEqual([n for n in os.listdir(self.folder) if n.isdigit() or "tmp" in n], [])
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (soft, hard))
        self.assert_says(daemon.run("apply"), 0)
        self.assertEqual(len(daemon.sockets("web")), 51)

    def test_units_that_cannot_fork_say_so_and_recover(self):
        self.needs_nobody()
        # The limit is per user: a user that has nothing else running.
        uid = 60000 + os.getpid() % 4000
        daemon = self.daemon({"web": web(restart="always", restart_delay="50ms", restart_max_delay="100ms", start_limit_burst=0)}, uid=uid)
        def limit(soft):
            subprocess.run(["prlimit", "--pid", str(daemon.pid), "--nproc=%s:" % soft], check=True, **as_user(uid))
        limit(1)
        answer = daemon.run("restart", "web", uid=uid)
        self.assert_says(answer, 1, "a limit on processes is reached", "serves on")
        self.assertEqual(http_get(daemon.port("web"))[0], 200)
        os.kill(daemon.pid_of("web"), 9)
        daemon.wait_event("backing-off", "web")
        with connect(daemon.port("web")) as client:
            client.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")
            limit(100)
            self.assertEqual(read_answer(client)[0], 200)

    # ---- many ----

    def test_five_hundred_units_start_and_stop_at_once(self):
        text = unit_text([tcp()], {"type": "exec", "exec_start": ["/bin/sleep", "1000"]})
        began = time.monotonic()
        daemon = self.daemon({"u%03d" % i: text for i in range(500)}, active=False)
        wait_for("all to be active", lambda: all(u["state"] == "active" for u in daemon.call("List")["units"]), 60 * FACTOR)
        started = time.monotonic()
        self.assertEqual(len(daemon.call("Sockets")["sockets"]), 500)
        self.assert_says(daemon.run("restart", "u000"), 0)
        ending = time.monotonic()
        daemon.process.send_signal(signal.SIGTERM)
        self.assertEqual(daemon.wait_end(60 * FACTOR), 0)
        print("500 units: started in %.2f s, stopped in %.2f s" % (started - began, time.monotonic() - ending))


if __name__ == "__main__":
    main()
