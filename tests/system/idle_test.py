# SPDX-License-Identifier: Apache-2.0
"""`idle_stop`: a lazy service that nobody uses ends, and nobody who comes in the worst moment is turned away.

HOLDFAST_IDLE_CLIENTS: how many clients come in the worst moment, one after the other (20).
"""
import os
import random
import signal
import socket
import subprocess
import time

from harness import FACTOR, PYTHON, Story, connect, has_ended, http_get, main, program, read_answer, status_of, wait_for, web, worker

REQUEST = b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"


class IdleStop(Story):
    def path(self, name):
        return os.path.join(self.folder, name)

    def idle(self, time="%dms" % (200 * FACTOR), **more):
        return web(activation="lazy", idle_stop=time, **more)

    def sleeps_of(self, pid):
        return int(status_of(pid)["voluntary_ctxt_switches"])

    def rest_of(self, pid, seconds):
        """How often it has slept, if it goes on sleeping for so long; else None."""
        before = self.sleeps_of(pid)
        time.sleep(seconds)
        return before if self.sleeps_of(pid) == before else None

    def test_it_ends_when_nobody_is_there_and_the_next_client_starts_it(self):
        daemon = self.daemon({"web": self.idle()}, active=False)
        for _ in range(3):
            daemon.wait_state("web", "listening")
            self.assertEqual(http_get(daemon.port("web"))[0], 200)
            since = daemon.last_event()
            self.assertIn("nobody was there for", daemon.wait_event("idle-stopped", "web", since=since - 5)["text"])
            wait_for("no worker", lambda: daemon.workers("web") == [])

    def test_after_that_nothing_wakes_it(self):
        daemon = self.daemon({"web": self.idle()}, active=False)
        http_get(daemon.port("web"))
        daemon.wait_event("worker-gone", "web")
        daemon.wait_state("web", "listening")
        pid = daemon.call("Version")["pid"]
        before = wait_for("rest", lambda: self.rest_of(pid, 0.2))  # our own question was the last that woke it
        crash = subprocess.Popen([PYTHON, "-c", "import os; os.abort()"], cwd=self.folder)
        self.assertEqual(crash.wait(), -signal.SIGABRT)  # somebody else's dump is told to root, and none of our business
        time.sleep(1)  # nothing happens: that is what is to be seen
        self.assertEqual(self.sleeps_of(pid), before)

    def test_a_connection_keeps_it_and_its_end_does_not(self):
        for listen in ("127.0.0.1:0", "[::1]:0", "unix:" + self.path("sock"), "unix:@" + os.path.basename(self.folder)):
            with self.subTest(listen):
                daemon = self.daemon({"web": self.idle(listen=listen)}, active=False, folder="f%d" % len(self.daemons))
                if listen.startswith("unix:"):
                    client = connect(listen[5:] if "@" not in listen else "\0" + listen[6:])
                else:
                    client = socket.create_connection((listen.rpartition(":")[0].strip("[]"), daemon.port("web")))
                with client:
                    daemon.wait_state("web", "active")
                    pid = daemon.pid_of("web")
                    time.sleep(0.6 * FACTOR)  # three times as long as it would wait
                    self.assertEqual(daemon.pid_of("web"), pid)
                daemon.wait_event("idle-stopped", "web")

    def test_clients_that_are_served_and_gone_in_a_moment_count(self):
        """A poll beside the worker saw most of them only where it was faster than the worker."""
        for listen in ("127.0.0.1:0", "unix:" + self.path("moment")):
            with self.subTest(listen):
                span = 0.4 * FACTOR
                daemon = self.daemon({"web": self.idle("%dms" % (span * 1000), listen=listen)}, active=False, folder="m%d" % len(self.daemons))
                to = listen[5:] if listen.startswith("unix:") else daemon.port("web")
                pid, before, judged = None, 0, 0
                while judged < 12:
                    time.sleep(span * 0.6)
                    began = time.monotonic()
                    self.assertEqual(http_get(to)[0], 200)
                    found = daemon.pid_of("web")
                    if time.monotonic() - before < span:  # else we were too slow ourselves, and nobody was there for so long
                        self.assertEqual(found, pid)
                        judged += 1
                    pid, before = found, began
                daemon.wait_event("idle-stopped", "web")

    def test_of_a_udp_service_datagrams_count(self):
        unit = worker("say=READY=1", "udp", sockets=[{"name": "dns", "listen": "udp://127.0.0.1:0"}], activation="lazy",
                      idle_stop="%dms" % (400 * FACTOR))
        daemon = self.daemon({"dns": unit}, active=False)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(10 * FACTOR)
            client.connect(("127.0.0.1", daemon.port("dns")))
            end = time.monotonic() + 1.2 * FACTOR
            answers = set()
            while time.monotonic() < end:
                client.send(b"who?")
                answers.add(client.recv(100))
                time.sleep(0.05 * FACTOR)
            self.assertEqual(len(answers), 1, "one worker has answered all")
            daemon.wait_event("idle-stopped", "dns")
            wait_for("no worker", lambda: daemon.workers("dns") == [])
            client.send(b"again?")
            self.assertNotIn(client.recv(100), answers)

    def test_a_client_that_comes_in_the_worst_moment_is_served(self):
        for more in ({}, {"socket_more": {"reuse_port": True}, "workers": 2}):
            with self.subTest(more):
                self.come_in_the_worst_moment(more)

    def come_in_the_worst_moment(self, more):
        socket_more = {"trigger_limit_burst": 0, **more.pop("socket_more", {})}
        daemon = self.daemon({"web": self.idle("50ms", socket_more=socket_more, **more)}, active=False, folder="f%d" % len(more))
        port = daemon.port("web")
        count = int(os.environ.get("HOLDFAST_IDLE_CLIENTS", "20"))
        with daemon.control() as control:
            control.send("Events", more=True, follow=True)
            for number in range(count):
                self.assertEqual(http_get(port)[0], 200)
                self.wait_idle_stop(control, port)
                # The signal is on its way, or the worker on its way out.
                time.sleep(random.random() * 0.003 if number % 2 else 0)
                self.assertEqual(http_get(port)[0], 200)

    def wait_idle_stop(self, control, port):
        while True:
            try:
                events = control.receive(1 * FACTOR)["parameters"]["events"]
            except TimeoutError:  # the client before was served by one that was on its way out: nobody was started for it
                self.assertEqual(http_get(port)[0], 200)
                continue
            if any(event["kind"] == "idle-stopped" for event in events):
                return

    def test_a_worker_that_takes_its_time_to_go_is_followed_by_another_at_once(self):
        unit = worker("note=" + self.path("starts"), "say=READY=1", "on-term=STATUS=going", "term-takes=" + self.path("go"), activation="lazy",
                      idle_stop="%dms" % (200 * FACTOR), rollout={"drain_timeout": "60s"})
        daemon = self.daemon({"web": unit}, active=False)
        first = http_get(daemon.port("web"))[1]
        daemon.wait_event("idle-stopped", "web")
        # Until it has the signal it may take who comes.
        wait_for("the signal", lambda: [one["status"] for one in daemon.workers("web")] == ["going"])
        self.assertNotEqual(http_get(daemon.port("web"))[1], first)
        with open(self.path("go"), "w", encoding="utf-8"):
            pass

    def test_the_time_goes_on_when_holdfastd_is_killed(self):
        daemon = self.daemon({"web": self.idle("%ds" % (3 * FACTOR))}, active=False, wrapper=(program("holdfast-keeper"), "--"))
        http_get(daemon.port("web"))
        began = time.monotonic()
        wait_for("nobody there", lambda: any("idle-began" in line for line in daemon.call("Trace", unit="web")["facts"]))
        while time.monotonic() < began + 1.5 * FACTOR:
            time.sleep(0.01)
        victim = self.supervisor(daemon)
        os.kill(victim, signal.SIGKILL)
        wait_for("its end", lambda: has_ended(victim))
        daemon.wait_event("idle-stopped", "web")
        self.assertLess(time.monotonic() - began, 4.2 * FACTOR, "it did not begin anew")
        self.assertEqual(http_get(daemon.port("web"))[0], 200)

    def test_too_many_starts_by_traffic_pause_the_listener_and_that_recovers(self):
        unit = worker("note=" + self.path("starts"), "say=READY=1", activation="lazy", idle_stop="30ms",
                      sockets=[{"name": "http", "listen": "127.0.0.1:0", "non_blocking": True, "trigger_limit_burst": 3,
                                "trigger_limit_interval": "%ds" % (4 * FACTOR)}])
        daemon = self.daemon({"web": unit}, active=False)
        for _ in range(3):
            daemon.wait_state("web", "listening")
            self.assertEqual(http_get(daemon.port("web"))[0], 200)
            wait_for("no worker", lambda: daemon.workers("web") == [])
        client = connect(daemon.port("web"))
        client.sendall(REQUEST)
        self.assertIn("3 times", daemon.wait_event("trigger-limit-hit", "web")["text"])
        self.assert_says(daemon.run("status", "web"), 0, "backing-off", "trigger_limit")
        with client:
            self.assertEqual(read_answer(client)[0], 200)
        daemon.wait_state("web", "listening")
        self.assertIsNone(daemon.unit("web")["problem"])

    def test_a_listener_that_wakes_it_too_often_is_left_alone_and_the_others_are_not(self):
        def listener(name, **more):
            return {"name": name, "listen": "127.0.0.1:0", "non_blocking": True, **more}
        unit = worker("say=READY=1", activation="lazy", idle_stop="30ms",
                      sockets=[listener("busy", poll_limit_burst=2, poll_limit_interval="%ds" % (6 * FACTOR)), listener("calm")])
        daemon = self.daemon({"web": unit}, active=False)
        busy, calm = daemon.port("web", "busy"), daemon.port("web", "calm")
        for _ in range(2):
            daemon.wait_state("web", "listening")
            self.assertEqual(http_get(busy)[0], 200)
            wait_for("no worker", lambda: daemon.workers("web") == [])
        client = connect(busy)
        client.sendall(REQUEST)
        self.assertIn("busy has started it 2 times", daemon.wait_event("poll-limit-hit", "web")["text"])
        self.assertEqual(daemon.unit("web")["state"], "listening")
        self.assertIn("poll_limit_burst", next(s["problem"] for s in daemon.sockets("web") if s["name"] == "busy"))
        self.assertEqual(http_get(calm)[0], 200)
        with client:
            self.assertEqual(read_answer(client)[0], 200, "who runs serves all of them")
        wait_for("no worker", lambda: daemon.workers("web") == [])
        client = connect(busy)
        client.sendall(REQUEST)
        with client:
            self.assertEqual(read_answer(client)[0], 200, "it is listened to again by itself")


if __name__ == "__main__":
    main()
