#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The example web server keeps the promises that the system tests and benchmarks build on.

usage: webserver_test.py PATH_OF_HOLDFAST_WEBSERVER PATH_OF_HOLDFAST_LOAD
"""
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

WEBSERVER = LOAD = ""
DEADLINE = 20  # seconds; nothing here takes one


class Supervised:
    """A web server with our listeners and a NOTIFY_SOCKET, as a supervisor would start it."""

    def __init__(self, listeners, *options, wait=True):
        self.folder = tempfile.TemporaryDirectory()
        path = os.path.join(self.folder.name, "notify")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(path)
        self.notify.settimeout(DEADLINE)
        fds = [listener.fileno() for listener in listeners]

        # Runs in the child: the only place that knows the pid LISTEN_PID must have is the child itself, so a shell says it.
        script = 'export LISTEN_PID=$$ LISTEN_FDS=%d; exec "$0" "$@"' % len(fds)
        redirects = " ".join("%d<&%d" % (3 + i, 100 + i) for i in range(len(fds)))
        high = [os.dup2(fd, 100 + i) for i, fd in enumerate(fds)]
        try:
            self.process = subprocess.Popen(
                ["bash", "-c", "exec %s; %s" % (redirects, script) if fds else 'exec "$0" "$@"', WEBSERVER, *options],
                pass_fds=high, env={**os.environ, "NOTIFY_SOCKET": path}, stderr=subprocess.DEVNULL)
        finally:
            for fd in high:
                os.close(fd)
        if wait:
            self.expect("READY=1")

    def expect(self, message):
        got = self.notify.recv(4096).decode()
        assert got == message, "%r instead of %r" % (got, message)

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)
        self.expect("STOPPING=1")

    def wait(self):
        return self.process.wait(DEADLINE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.notify.close()
        self.folder.cleanup()


def listener(blocking=False):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    sock.listen(4096)
    sock.setblocking(blocking)
    return sock


class Client:
    """One connection; requests are bytes, so that a test can send them in any pieces."""

    def __init__(self, target):
        self.sock = socket.socket(target.family)
        self.sock.settimeout(DEADLINE)
        self.sock.connect(target.getsockname())
        self.buffer = b""

    def send(self, data):
        self.sock.sendall(data)

    def get(self, path="/", headers=""):
        self.send(("GET %s HTTP/1.1\r\nHost: t\r\n%s\r\n" % (path, headers)).encode())
        return self.answer()

    def answer(self):
        """(status, headers, body) of the next response."""
        while b"\r\n\r\n" not in self.buffer:
            self.more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:])
        length = int(headers["content-length"])
        while len(self.buffer) < length:
            self.more()
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return int(lines[0].split()[1]), headers, body.decode()

    def more(self):
        data = self.sock.recv(1 << 20)
        if not data:
            raise EOFError("closed early, had %r" % self.buffer)
        self.buffer += data

    def is_ended(self):
        return self.sock.recv(100) == b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


class Serving(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.listener = listener()
        cls.server = Supervised([cls.listener], "--release", "r7", "--generation", "3")

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()
        cls.listener.close()

    def test_says_who_it_is(self):
        with Client(self.listener) as client:
            status, headers, body = client.get()
            self.assertEqual(status, 200)
            self.assertEqual(headers["connection"], "keep-alive")
            self.assertEqual(body, "holdfast-webserver pid=%d generation=3 release=r7\n" % self.server.process.pid)
            self.assertEqual(client.get("/healthz")[2], "ok\n")
            self.assertEqual(client.get("/nowhere")[0], 404)

    def test_closes_when_asked(self):
        with Client(self.listener) as client:
            self.assertEqual(client.get(headers="Connection: close\r\n")[1]["connection"], "close")
            self.assertTrue(client.is_ended())
        with Client(self.listener) as client:
            client.send(b"GET / HTTP/1.0\r\n\r\n")
            self.assertEqual(client.answer()[1]["connection"], "close")
            self.assertTrue(client.is_ended())

    def test_a_request_may_come_byte_by_byte(self):
        with Client(self.listener) as client:
            client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(2):
                for byte in b"GET / HTTP/1.1\r\nHost: t\r\n\r\n":
                    client.send(bytes([byte]))
                self.assertEqual(client.answer()[0], 200)

    def test_several_requests_may_come_at_once(self):
        with Client(self.listener) as client:
            client.send(b"GET /healthz HTTP/1.1\r\n\r\n" * 3 + b"GET /slow?ms=1 HTTP/1.1\r\n\r\n" * 2)
            self.assertEqual([client.answer()[0] for _ in range(5)], [200] * 5)

    def test_a_body_is_skipped(self):
        with Client(self.listener) as client:
            for size in (1, 100000):
                client.send(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size)
                client.send(b"x" * size)
                self.assertEqual(client.answer()[0], 200)
            self.assertEqual(client.get()[0], 200)

    def test_answers_of_any_size(self):
        with Client(self.listener) as client:
            for size in (0, 1, 65536, 30_000_000):
                self.assertEqual(len(client.get("/size?bytes=%d" % size)[2]), size)

    def test_a_slow_answer_does_not_delay_others(self):
        with Client(self.listener) as slow, Client(self.listener) as quick:
            slow.send(b"GET /slow?ms=300 HTTP/1.1\r\n\r\n")
            begin = time.monotonic()
            self.assertEqual(quick.get()[0], 200)
            quick_time = time.monotonic() - begin
            self.assertEqual(slow.answer()[0], 200)
            self.assertGreaterEqual(time.monotonic() - begin, 0.29)
            self.assertLess(quick_time, 0.29)

    def test_a_client_that_has_finished_sending_gets_its_answer(self):
        with Client(self.listener) as client:
            client.send(b"GET /slow?ms=20 HTTP/1.1\r\n\r\n")
            client.sock.shutdown(socket.SHUT_WR)
            self.assertEqual(client.answer()[0], 200)
            self.assertTrue(client.is_ended())

    def test_nonsense_is_refused_and_hurts_nobody(self):
        for nonsense in (b"hello\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"\0" * 20000,
                         b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"):
            with Client(self.listener) as client:
                client.send(nonsense)
                self.assertEqual(client.answer()[0], 400)
                self.assertTrue(client.is_ended())
        with Client(self.listener) as client:
            self.assertEqual(client.get()[0], 200)


class Sockets(unittest.TestCase):
    def test_serves_all_its_listeners_blocking_or_not_tcp_or_unix(self):
        with tempfile.TemporaryDirectory() as folder:
            for blocking in (False, True):
                path = os.path.join(folder, "web%d" % blocking)
                with listener(blocking) as tcp, socket.socket(socket.AF_UNIX) as unix:
                    unix.bind(path)
                    unix.listen(64)
                    unix.setblocking(blocking)
                    with Supervised([tcp, unix]) as server:
                        for one in (tcp, unix):
                            with Client(one) as client:
                                self.assertEqual(client.get()[0], 200)
                        self.assertEqual(os.get_blocking(tcp.fileno()), blocking)  # not ours to change
                        server.terminate()
                        self.assertEqual(server.wait(), 0)

    def test_binds_a_port_of_its_own_when_it_is_given_none(self):
        process = subprocess.Popen([WEBSERVER, "--port", "0"], stdout=subprocess.PIPE, text=True)
        try:
            port = int(process.stdout.readline().rsplit(":", 1)[1])
            with socket.create_connection(("127.0.0.1", port), DEADLINE) as sock:
                sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
                self.assertTrue(sock.recv(100).startswith(b"HTTP/1.1 200"))
            refused = subprocess.run([WEBSERVER, "--port", str(port)], capture_output=True, text=True, timeout=DEADLINE)
            self.assertEqual(refused.returncode, 1)
            self.assertIn("Address already in use", refused.stderr)
        finally:
            process.terminate()
            self.assertEqual(process.wait(DEADLINE), 0)
            process.stdout.close()

    def test_takes_the_sockets_of_start_server(self):
        with listener() as tcp:
            env = {**os.environ, "SERVER_STARTER_PORT": "127.0.0.1:80=%d" % tcp.fileno(), "SERVER_STARTER_GENERATION": "4"}
            process = subprocess.Popen([WEBSERVER], pass_fds=[tcp.fileno()], env=env)
            try:
                with Client(tcp) as client:
                    self.assertIn("generation=4", client.get()[2])
            finally:
                process.terminate()
                self.assertEqual(process.wait(DEADLINE), 0)


class Leaving(unittest.TestCase):
    def test_a_request_in_flight_is_answered(self):
        for blocking in (False, True):
            with listener(blocking) as tcp, Supervised([tcp]) as server, Client(tcp) as client:
                client.get()
                client.send(b"GET /slow?ms=200 HTTP/1.1\r\n\r\n")
                with Client(tcp) as other:  # answered, so the slow request has been read before the signal comes
                    other.get(headers="Connection: close\r\n")
                server.terminate()
                status, headers, _ = client.answer()
                self.assertEqual((status, headers["connection"]), (200, "close"))
                self.assertTrue(client.is_ended())
                self.assertEqual(server.wait(), 0)

    def test_an_idle_connection_may_ask_once_more(self):
        with listener() as tcp, Supervised([tcp], "--linger", "10s") as server, Client(tcp) as client:
            client.get()
            server.terminate()
            status, headers, _ = client.get()
            self.assertEqual((status, headers["connection"]), (200, "close"))
            self.assertTrue(client.is_ended())
            self.assertEqual(server.wait(), 0)

    def test_a_connection_that_has_not_asked_yet_may_ask(self):
        with listener() as tcp, Supervised([tcp], "--linger", "10ms") as server, Client(tcp) as client:
            with Client(tcp) as other:  # accepted after `client`
                other.get(headers="Connection: close\r\n")
            server.terminate()
            self.assertEqual(client.get()[1]["connection"], "close")
            self.assertEqual(server.wait(), 0)

    def test_a_half_read_request_is_finished(self):
        with listener() as tcp, Supervised([tcp], "--linger", "10ms") as server, Client(tcp) as client:
            client.get()
            client.send(b"GET / HT")
            with Client(tcp) as other:
                other.get(headers="Connection: close\r\n")
            with Client(tcp) as idle:
                idle.get()
                server.terminate()
                self.assertTrue(idle.is_ended())  # the linger is over
                client.send(b"TP/1.1\r\n\r\n")
                self.assertEqual(client.answer()[1]["connection"], "close")
            self.assertEqual(server.wait(), 0)

    def test_a_silent_connection_ends_with_a_fin_and_no_reset(self):
        with listener() as tcp, Supervised([tcp], "--linger", "10ms") as server, Client(tcp) as client:
            client.get()
            server.terminate()
            self.assertTrue(client.is_ended())
            client.send(b"GET / HTTP/1.1\r\n\r\n")  # crosses the FIN: read and dropped, so the client sees no reset
            self.assertTrue(client.is_ended())
            client.sock.close()
            self.assertEqual(server.wait(), 0)

    def test_what_is_queued_belongs_to_the_next_one(self):
        for blocking in (False, True):
            with listener(blocking) as tcp:
                with Supervised([tcp]) as old:
                    with Client(tcp) as busy:
                        busy.get()  # accepted: else it would belong to the next one too
                        busy.send(b"GET /slow?ms=100 HTTP/1.1\r\n\r\n")
                        old.terminate()
                        self.assertIn(busy.answer()[0], (200,))
                    self.assertEqual(old.wait(), 0)
                with Client(tcp) as queued:
                    queued.send(b"GET / HTTP/1.1\r\n\r\n")
                    with Supervised([tcp], "--release", "next"):
                        self.assertIn("release=next", queued.answer()[2])

    def test_two_on_one_blocking_listener_leave_when_asked(self):
        with listener(True) as tcp, Supervised([tcp]) as one, Supervised([tcp]) as two:
            for _ in range(20):
                with Client(tcp) as client:
                    client.get()
            one.terminate()
            self.assertEqual(one.wait(), 0)
            with Client(tcp) as client:
                self.assertIn("pid=%d " % two.process.pid, client.get()[2])
            two.terminate()
            self.assertEqual(two.wait(), 0)

    def test_a_change_of_generations_under_load_loses_nothing(self):
        for blocking in (False, True):
            for mode in ([], ["--keep-alive"]):
                with self.subTest(blocking=blocking, mode=mode), listener(blocking) as tcp:
                    old = Supervised([tcp], "--release", "0")
                    load = subprocess.Popen(
                        [LOAD, "--target", "127.0.0.1:%d" % tcp.getsockname()[1], "--rate", "1000", "--duration", "1500ms",
                         "--answers", "--json", *mode], stdout=subprocess.PIPE, text=True)
                    for release in range(1, 5):
                        new = Supervised([tcp], "--release", str(release), "--boot-delay", "50ms")
                        with old:
                            old.terminate()
                            self.assertEqual(old.wait(), 0)
                        old = new
                    with old:
                        result = json.loads(load.communicate(timeout=DEADLINE)[0])
                    self.assertEqual((result["sent"], result["ok"], result["failed"]), (1500, 1500, 0), result)
                    self.assertGreater(len(result["answers"]), 1)


class Misbehaving(unittest.TestCase):
    def test_crashes_at_start(self):
        self.assertEqual(subprocess.run([WEBSERVER, "--crash-at-start"], stderr=subprocess.DEVNULL).returncode, 1)

    def test_crashes_later(self):
        with listener() as tcp, Supervised([tcp], "--crash-after", "50ms") as server:
            self.assertEqual(server.wait(), 70)

    def test_is_never_ready_and_never_accepts_but_goes_when_asked(self):
        with listener() as tcp, Supervised([tcp], "--never-ready", wait=False) as server, Client(tcp) as client:
            client.sock.settimeout(0.2)
            with self.assertRaises(socket.timeout):
                client.get()
            server.process.terminate()
            # Before it has blocked SIGTERM, the signal ends it; after that it leaves by itself.
            self.assertIn(server.wait(), (0, -signal.SIGTERM))

    def test_ignores_sigterm(self):
        with listener() as tcp, Supervised([tcp], "--ignore-term") as server:
            server.process.terminate()
            for _ in range(3):
                with Client(tcp) as client:
                    self.assertEqual(client.get("/slow?ms=10")[1]["connection"], "keep-alive")

    def test_refuses_an_unknown_option(self):
        refused = subprocess.run([WEBSERVER, "--nonsense"], capture_output=True, text=True)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("--nonsense", refused.stderr)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    WEBSERVER, LOAD = sys.argv[1:3]
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
