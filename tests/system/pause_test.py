# SPDX-License-Identifier: Apache-2.0
"""`holdfast pause` and `resume`: clients wait while files are replaced, and nobody is turned away."""
import os
import signal
import socket
import subprocess
import sys

from harness import (DEADLINE, FACTOR, Story, connect, has_ended, http_get, main, program, read_answer, tcp,
                     unit_text, wait_for, web, worker)

REQUEST = b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"


class Pause(Story):
    def path(self, name):
        return os.path.join(self.folder, name)

    def install(self, release):
        """Another program at the same path, as a package does it."""
        with open(self.path("server.new"), "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\nexec %s --release %s\n" % (program("holdfast-webserver"), release))
        os.chmod(self.path("server.new"), 0o755)
        os.rename(self.path("server.new"), self.path("server"))

    def installed(self, socket_more=None, rollout=None, **service):
        self.install("1")
        return unit_text([tcp(**(socket_more or {}))], {"type": "notify", "exec_start": [self.path("server")], **service},
                         rollout=rollout or {"drain_timeout": "%ds" % (10 * FACTOR)})

    def asks(self, daemon, unit="web"):
        client = connect(daemon.port(unit))
        client.sendall(REQUEST)
        return client

    def release_in(self, client):
        with client:
            status, body = read_answer(client)
        self.assertEqual(status, 200)
        return body.split("release=")[1].split()[0]

    def test_clients_wait_while_the_program_is_replaced_and_get_the_new_one(self):
        daemon = self.daemon({"web": self.installed()})
        self.assert_says(daemon.run("pause", "web"), 0, "its workers drain", "paused: nothing of it runs")
        self.assertEqual(daemon.workers("web"), [])
        clients = [self.asks(daemon) for _ in range(5)]
        self.assertEqual(daemon.sockets("web")[0]["queue"], 5)
        unit = daemon.unit("web")
        self.assertEqual(unit["state"], "paused")
        self.assertIn(unit["resumes_in_usec"] // 1_000_000, range(200, 301))
        self.assert_says(daemon.run("status", "web"), 0, "paused", "by itself in")
        self.install("2")
        self.assert_says(daemon.run("resume", "web"), 0, "started")
        self.assertEqual([self.release_in(client) for client in clients], ["2"] * 5)
        self.assertIsNone(daemon.unit("web")["resumes_in_usec"])

    def test_it_waits_for_those_who_finish_what_they_hold(self):
        daemon = self.daemon({"web": worker("say=READY=1", "term-takes=" + self.path("go"), rollout={"drain_timeout": "60s"})})
        pause = daemon.popen("pause", "web")
        daemon.wait_event("pausing", "web")
        try:
            self.fail(pause.communicate(timeout=0.3))
        except subprocess.TimeoutExpired:
            pass
        self.assertEqual(daemon.unit("web")["state"], "paused")
        with open(self.path("go"), "w", encoding="utf-8"):
            pass
        out = pause.communicate(timeout=DEADLINE)
        self.assertEqual(pause.returncode, 0, out)

    def test_it_resumes_by_itself_at_its_deadline(self):
        daemon = self.daemon({"web": self.installed()})
        self.assert_says(daemon.run("pause", "web", "--for", "300ms"), 0)
        with self.asks(daemon) as client:
            self.assertIn("its time is over", daemon.wait_event("resumed", "web")["text"])
            self.assertEqual(read_answer(client)[0], 200)
        daemon.wait_state("web", "active")

    def test_it_resumes_by_itself_before_a_queue_is_full(self):
        for more in ({}, {"reuse_port": True}):
            with self.subTest(more):
                daemon = self.daemon({"web": self.installed({"backlog": 10, **more})}, folder="f%d" % len(more))
                self.assert_says(daemon.run("pause", "web"), 0)
                clients = [self.asks(daemon) for _ in range(7)]
                self.assertEqual(daemon.unit("web")["state"], "paused")
                clients.append(self.asks(daemon))
                self.assertIn("8 of 10 connections", daemon.wait_event("queue-nearly-full", "web")["text"])
                self.assertIn("a queue is nearly full", daemon.wait_event("resumed", "web")["text"])
                for client in clients:
                    self.release_in(client)

    def test_the_queue_of_a_unix_socket_ends_it_too_and_the_buffer_of_a_udp_one(self):
        path = self.path("sock")
        daemon = self.daemon({"web": web(listen="unix:" + path, socket_more={"backlog": 5}),
                              "dns": worker("say=READY=1", "udp", sockets=[{"name": "dns", "listen": "udp://127.0.0.1:0"}])})
        self.assert_says(daemon.run("pause", "web", "dns"), 0)
        clients = [connect(path) for _ in range(4)]
        daemon.wait_event("queue-nearly-full", "web")
        for client in clients:
            client.sendall(REQUEST)
            with client:
                self.assertEqual(read_answer(client)[0], 200)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            while daemon.unit("dns")["state"] == "paused":
                client.sendto(b"x" * 1000, ("127.0.0.1", daemon.port("dns")))
        self.assertIn("bytes wait", daemon.wait_event("queue-nearly-full", "dns")["text"])

    def test_what_is_wished_of_a_paused_unit(self):
        daemon = self.daemon({"web": web(reload_signal="SIGHUP"), "down": web(), "idle": web(activation="lazy")}, active=["web", "down"])
        self.assert_says(daemon.run("stop", "down"), 0)
        self.assert_says(daemon.run("pause", "down"), 3, "is inactive")
        self.assert_says(daemon.run("resume", "down"), 3, "is inactive")
        self.assert_says(daemon.run("pause", "nobody"), 4)
        self.assert_says(daemon.run("resume", "web"), 0, "it is not paused")
        self.assert_says(daemon.run("pause", "web", "--for", "forever"), 2, "is no duration")
        self.assert_says(daemon.run("pause", "web", "--for", "25h"), 2, "1ms to 24h")

        self.assert_says(daemon.run("pause", "web", "--for", "1min"), 0)
        self.assert_says(daemon.run("pause", "web", "--for", "20min"), 0)
        self.assertGreater(daemon.unit("web")["resumes_in_usec"], 1_000_000_000)
        self.assert_says(daemon.run("reload", "web"), 3, "is paused", "holdfast resume web")
        self.assert_says(daemon.run("rollout", "undo", "web"), 1, "it is paused")
        self.assert_says(daemon.run("scale", "web", "2"), 0, "will be started with 2 workers")
        daemon.write("web", web(release="2", reload_signal="SIGHUP"))
        self.assert_says(daemon.run("apply", "--json"), 0, "it is paused")
        self.assertEqual((daemon.unit("web")["state"], daemon.workers("web")), ("paused", []))
        self.assert_says(daemon.run("start", "web"), 0)
        self.assertEqual(len(daemon.workers("web")), 2)
        self.assertIn("release=2", http_get(daemon.port("web"))[1])

        self.assert_says(daemon.run("pause", "web"), 0)
        self.assert_says(daemon.run("restart", "web"), 0, "rollout of generation")
        self.assert_says(daemon.run("pause", "web"), 0)
        self.assert_says(daemon.run("stop", "web"), 0)
        self.assertEqual(daemon.unit("web")["state"], "inactive")

        daemon.wait_state("idle", "listening")
        self.assert_says(daemon.run("pause", "idle"), 0)
        with self.asks(daemon, "idle") as client:
            self.assertEqual((daemon.unit("idle")["state"], daemon.workers("idle")), ("paused", []))
            self.assert_says(daemon.run("resume", "idle"), 0)
            self.assertEqual(read_answer(client)[0], 200)

    def test_a_pause_ends_a_rollout_and_the_resume_starts_what_it_was_to_bring(self):
        daemon = self.daemon({"web": web(rollout={"probation": "60s"})})
        daemon.write("web", web(release="2", rollout={"probation": "60s"}))
        apply = daemon.popen("apply")
        daemon.wait_event("took-over")
        self.assert_says(daemon.run("pause", "web"), 0)
        out = apply.communicate(timeout=DEADLINE)
        self.assertEqual(apply.returncode, 1, out)
        self.assertIn("ended by a pause", "".join(out))
        self.assert_says(daemon.run("resume", "web"), 0)
        self.assertIn("release=2", http_get(daemon.port("web"))[1])

    def test_a_release_that_does_not_start_fails_the_resume_and_clients_still_wait(self):
        daemon = self.daemon({"web": self.installed(restart_delay="10ms")})
        self.assert_says(daemon.run("pause", "web"), 0)
        with open(self.path("server"), "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\nexit 1\n")
        client = self.asks(daemon)
        self.assert_says(daemon.run("resume", "web"), 1, "cannot be started")
        self.install("3")
        self.assert_says(daemon.run("start", "web"), 0)
        self.assertEqual(self.release_in(client), "3")

    def test_a_command_runs_while_it_is_paused_and_it_is_resumed_whatever_comes_of_it(self):
        daemon = self.daemon({"web": self.installed()})
        look = [program("holdfast"), "--runtime-dir", daemon.runtime, "status", "web"]
        self.assert_says(daemon.run("pause", "web", "--exec", *look), 0, "state       paused", "started")
        answer = daemon.run("pause", "web", "--for", "1min", "--exec", "sh", "-c", "exit 7")
        self.assertEqual((answer.status, daemon.unit("web")["state"]), (7, "active"), answer)
        answer = daemon.run("pause", "web", "--exec", self.path("nothing"))
        self.assertEqual((answer.status, daemon.unit("web")["state"]), (127, "active"), answer)
        self.assert_says(daemon.run("pause", "web", "--exec"), 2, "no command")
        self.assert_says(daemon.run("stop", "web"), 0)
        self.assert_says(daemon.run("pause", "web", "--exec", "touch", self.path("ran")), 3)
        self.assertFalse(os.path.exists(self.path("ran")))

    def test_what_has_resumed_before_its_command_is_done_is_restarted(self):
        """It served on by what had been half replaced, and the exit status was 0."""
        daemon = self.daemon({"web": self.installed()})
        script = "until %s --runtime-dir %s status web | grep -q 'state *active'; do sleep 0.01; done; sed -i 's/release 1/release 2/' %s" % (
            program("holdfast"), daemon.runtime, self.path("server"))
        self.assert_says(daemon.run("pause", "web", "--for", "%dms" % (500 * FACTOR), "--exec", "sh", "-c", script), 0,
                         "it was resumed before it was wished")
        self.assertEqual(self.release_in(self.asks(daemon)), "2")

    def test_a_signal_ends_the_command_and_it_is_resumed_all_the_same(self):
        daemon = self.daemon({"web": self.installed()})
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number):
                pause = daemon.popen("pause", "web", "--exec", sys.executable, "-c",
                                     "import pathlib, time; pathlib.Path(%r).touch(); time.sleep(60)" % self.path("runs"))
                wait_for("the command", lambda: os.path.exists(self.path("runs")))
                pause.send_signal(number)
                out = pause.communicate(timeout=DEADLINE)
                self.assertIn(pause.returncode, (128 + number, 1), out)  # Python makes an exception of SIGINT
                daemon.wait_state("web", "active")
                os.unlink(self.path("runs"))

    def test_a_signal_while_its_workers_drain_resumes_it_and_runs_no_command(self):
        daemon = self.daemon({"web": worker("say=READY=1", "term-takes=" + self.path("go"), rollout={"drain_timeout": "60s"})})
        pause = daemon.popen("pause", "web", "--exec", "touch", self.path("ran"))
        daemon.wait_event("pausing", "web")
        pause.send_signal(signal.SIGTERM)
        out = pause.communicate(timeout=DEADLINE)
        self.assertEqual(pause.returncode, 128 + signal.SIGTERM, out)
        daemon.wait_event("resumed", "web")
        with open(self.path("go"), "w", encoding="utf-8"):
            pass
        self.assertFalse(os.path.exists(self.path("ran")))
        daemon.wait_state("web", "active")

    def test_it_is_still_paused_and_until_the_same_time_after_holdfastd_was_killed(self):
        daemon = self.daemon({"web": self.installed()}, wrapper=(program("holdfast-keeper"), "--"))
        self.assert_says(daemon.run("pause", "web", "--for", "%ds" % (4 * FACTOR)), 0)
        client = self.asks(daemon)
        victim = self.supervisor(daemon)
        before = daemon.unit("web")["resumes_in_usec"]
        os.kill(victim, signal.SIGKILL)
        wait_for("its end", lambda: has_ended(victim))
        unit = daemon.unit("web")
        self.assertEqual((unit["state"], unit["workers"]), ("paused", []))
        self.assertLess(unit["resumes_in_usec"], before)
        self.assertEqual(self.release_in(client), "1")
        self.assertIn("its time is over", daemon.wait_event("resumed", "web")["text"])

    def test_a_pause_goes_on_waiting_when_holdfastd_is_killed_while_workers_drain(self):
        unit = worker("say=READY=1", "term-takes=" + self.path("go"), rollout={"drain_timeout": "60s"})
        daemon = self.daemon({"web": unit}, wrapper=(program("holdfast-keeper"), "--"))
        pause = daemon.popen("pause", "web")
        daemon.wait_event("pausing", "web")
        victim = self.supervisor(daemon)
        os.kill(victim, signal.SIGKILL)
        wait_for("its end", lambda: has_ended(victim))
        daemon.wait_state("web", "paused")
        with open(self.path("go"), "w", encoding="utf-8"):
            pass
        out = pause.communicate(timeout=DEADLINE)
        self.assertEqual(pause.returncode, 0, out)

    def test_the_program_is_replaced_again_and_again_under_load_and_no_request_fails(self):
        for more in ({}, {"reuse_port": True}):
            with self.subTest(more):
                daemon = self.daemon({"web": self.installed(more, workers=2)}, folder="f%d" % len(more))
                load = self.load(daemon.port("web"), seconds=1.5, rate=200)
                count = 1
                while load.is_running():
                    count += 1
                    self.assert_says(daemon.run("pause", "web"), 0)
                    self.install(str(count))
                    self.assert_says(daemon.run("resume", "web"), 0)
                self.assert_clean(load.finish(), least=50)
                self.assertIn("release=%d" % count, http_get(daemon.port("web"))[1])
                self.assertGreater(count, 2)


if __name__ == "__main__":
    main()
