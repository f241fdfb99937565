# SPDX-License-Identifier: Apache-2.0
"""`activation = "lazy"`: nothing runs until somebody comes; who comes is served, or waits while the service cannot be started."""
import os
import socket
import threading

from harness import FACTOR, PYTHON, Story, connect, http_get, main, program, read_answer, tcp, unit_text, web, worker

REQUEST = b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"


class Lazy(Story):
    def lazy(self, *actions, **more):
        self.starts = os.path.join(self.folder, "starts")
        return worker("note=" + self.starts, *actions, activation="lazy", **more)

    def count(self):
        if not os.path.exists(self.starts):
            return 0
        with open(self.starts) as file:
            return len(file.readlines())

    def test_nothing_runs_until_the_first_connection_and_that_one_is_served(self):
        daemon = self.daemon({"web": self.lazy("say=READY=1")}, active=False)
        daemon.wait_state("web", "listening")
        self.assertEqual((daemon.workers("web"), self.count()), ([], 0))
        self.assertEqual(daemon.run("status", "web").status, 0)
        status, body = http_get(daemon.port("web"))
        self.assertEqual(status, 200)
        self.assertEqual(body, "worker pid=%d\n" % daemon.pid_of("web"))
        self.assertEqual(http_get(daemon.port("web"))[1], body)
        self.assertEqual(self.count(), 1)

    def test_a_crowd_that_comes_at_once_is_served_by_one_worker(self):
        daemon = self.daemon({"web": self.lazy("say=READY=1")}, active=False)
        daemon.wait_state("web", "listening")
        clients = [connect(daemon.port("web")) for _ in range(100)]
        for client in clients:
            client.sendall(REQUEST)
        for client in clients:
            with client:
                self.assertEqual(read_answer(client)[0], 200)
        self.assertEqual(self.count(), 1)

    def test_the_first_datagram_starts_a_udp_service_and_is_answered(self):
        daemon = self.daemon({"dns": self.lazy("say=READY=1", "udp", sockets=[{"name": "dns", "listen": "udp://127.0.0.1:0"}])}, active=False)
        daemon.wait_state("dns", "listening")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(10 * FACTOR)
            client.sendto(b"who?", ("127.0.0.1", daemon.port("dns")))
            self.assertEqual(client.recv(100).decode(), "pid=%d who?" % daemon.pid_of("dns"))
        self.assertEqual(self.count(), 1)

    def test_a_restart_of_a_lazy_unit_under_load_loses_nothing(self):
        daemon = self.daemon({"web": web(activation="lazy")}, active=False)
        daemon.wait_state("web", "listening")
        load = self.load(daemon.port("web"), seconds=1)
        while load.is_running():
            self.assert_says(daemon.run("restart", "web"), 0)
        self.assert_clean(load.finish(), least=100)

    def test_one_that_cannot_be_started_does_not_spin_and_says_so_and_its_client_waits(self):
        mended = os.path.join(self.folder, "mended")
        # Exits until the file is there; "wait" would never end, so the shell decides.
        script = 'echo >> %s/starts; test -e %s || exit 3; exec "$@"' % (self.folder, mended)
        unit = unit_text([tcp()], {"type": "notify", "activation": "lazy", "timeout_start": "10s",
                                   "exec_start": ["/bin/sh", "-c", script, "sh", program("holdfast-webserver")]})
        self.starts = os.path.join(self.folder, "starts")
        daemon = self.daemon({"web": unit}, active=False)
        daemon.wait_state("web", "listening")
        answers = []
        client = threading.Thread(target=lambda: answers.append(http_get(daemon.port("web"))))
        client.start()
        daemon.wait_event("start-limit-hit", "web")
        self.assertLessEqual(self.count(), 6)
        status = daemon.run("status", "web")
        self.assertIn("backing-off", status.text)
        self.assertIn("paused for", status.text)
        self.assertEqual(daemon.sockets("web")[0]["queue"], 1, "the client waits in the queue")
        self.assertEqual(answers, [])
        with open(mended, "w"):
            pass
        self.assert_says(daemon.run("start", "web"), 0)
        client.join()
        self.assertEqual(answers[0][0], 200)

    def test_starts_of_a_broken_lazy_service_in_three_seconds_are_few(self):
        daemon = self.daemon({"web": self.lazy("exit=1", restart="always", start_limit_burst=0)}, active=False)
        daemon.wait_state("web", "listening")
        with connect(daemon.port("web")) as client:
            client.sendall(REQUEST)
            daemon.wait_event("backing-off", "web", where=lambda e: e["monotonic_usec"] > self.first_event(daemon) + 3e6)
            # 100 ms, then growing: a loop would have made hundreds.
            self.assertIn(self.count(), range(2, 16))

    def first_event(self, daemon):
        return daemon.call("Events")["events"][0]["monotonic_usec"]

    def test_a_service_that_ends_cleanly_is_started_again_by_the_next_client(self):
        code = "import socket; s = socket.socket(fileno=3); s.setblocking(True); c, _ = s.accept(); c.recv(1000); c.sendall(b'HTTP/1.1 200 OK\\r\\n\\r\\nonce')"
        unit = unit_text([tcp()], {"type": "exec", "activation": "lazy", "exec_start": [PYTHON, "-I", "-S", "-c", code]})
        daemon = self.daemon({"once": unit}, active=False)
        for _ in range(3):
            daemon.wait_state("once", "listening", "backing-off")
            self.assertEqual(http_get(daemon.port("once"))[1], "once")


if __name__ == "__main__":
    main()
