# SPDX-License-Identifier: Apache-2.0
"""`holdfast pause` of a unit with `accept = true`: who is served may finish, and others wait for the new program."""
import os

from accepting import ECHO, Accepting, echoes, said, shell, unit
from harness import DEADLINE, connect, main


class AcceptPause(Accepting):
    def test_a_pause_lets_who_is_served_finish_and_others_wait_for_the_new_program(self):
        # It was refused: the program of such a unit could be replaced only under its clients.
        path = os.path.join(self.folder, "program")

        def install(release):
            with open(path + ".new", "w", encoding="utf-8") as file:
                file.write("#!/bin/sh\necho %s; cat\n" % release)
            os.chmod(path + ".new", 0o755)
            os.rename(path + ".new", path)
        install("old")
        daemon = self.accepting({"web": unit([path], timeout_stop="60s")})
        old = connect(daemon.port("web"))
        self.assertEqual(old.recv(4), b"old\n")
        pause = daemon.popen("pause", "web")
        daemon.wait_event("pausing", "web")
        waiting = [connect(daemon.port("web")) for _ in range(3)]
        self.assertEqual(daemon.unit("web")["state"], "paused")
        self.assertTrue(echoes(old), "it is left alone")
        self.assertEqual([i["state"] for i in self.connections(daemon)["instances"]], ["running"])
        self.assertIsNone(pause.poll(), "it waits for who is served")
        old.close()
        out, _ = pause.communicate(timeout=DEADLINE)
        self.assertEqual(pause.returncode, 0)
        self.assertIn("paused: nothing of it runs", out)
        self.assertEqual(daemon.sockets("web")[0]["queue"], 3)
        install("new")
        self.assert_says(daemon.run("resume", "web"), 0, "accepts connections")
        for client in waiting:
            self.assertEqual(client.recv(4), b"new\n")
            client.close()

    def test_who_does_not_finish_in_a_pause_is_told_to_and_then_killed(self):
        stubborn = "trap 'echo told' TERM; echo up; while :; do sleep 0.05; done"
        daemon = self.accepting({"web": shell(stubborn, timeout_stop="300ms")})
        client = connect(daemon.port("web"))
        self.assertEqual(client.recv(3), b"up\n")
        self.assert_says(daemon.run("pause", "web"), 0, "paused")
        self.assertEqual(said(client), "told\n")
        self.assertIn("killed", daemon.wait_event("drain-deadline-passed", "web")["text"])

    def test_a_pause_ends_at_its_deadline_or_with_a_full_queue_and_who_is_served_stays(self):
        table = {"name": "in", "listen": "127.0.0.1:0", "backlog": 10}
        daemon = self.accepting({"web": unit(ECHO, sockets=[table], timeout_stop="60s")})
        with connect(daemon.port("web")) as served:
            self.assertTrue(echoes(served))
            self.assert_says(daemon.run("pause", "web", "--for", "300ms"), 1, "its time is over")
            with connect(daemon.port("web")) as other:
                self.assertTrue(echoes(other))
            self.wait_live(daemon, 1)
            pause = daemon.popen("pause", "web")
            daemon.wait_state("web", "paused")
            clients = [connect(daemon.port("web")) for _ in range(8)]
            self.assertTrue(all(echoes(client) for client in clients))
            self.assertEqual(pause.wait(DEADLINE), 1)
            pause.communicate()
            self.assertIn("8 of 10 connections", daemon.wait_event("queue-nearly-full", "web")["text"])
            self.assertTrue(echoes(served))
            for client in clients:
                client.close()
        self.wait_live(daemon, 0)

    def test_a_stop_ends_a_pause_and_tells_who_is_served(self):
        daemon = self.accepting({"web": unit(ECHO, timeout_stop="60s")})
        client = connect(daemon.port("web"))
        self.assertTrue(echoes(client))
        pause = daemon.popen("pause", "web")
        daemon.wait_state("web", "paused")
        self.assert_says(daemon.run("stop", "web"), 0)
        self.assertEqual(said(client), "")
        self.assertEqual(pause.wait(DEADLINE), 1)
        pause.communicate()
        self.assertEqual(daemon.unit("web")["state"], "inactive")

    def test_a_pause_outlives_holdfastd(self):
        daemon = self.kept({"web": unit(ECHO, timeout_stop="60s")})
        with connect(daemon.port("web")) as client:
            self.assertTrue(echoes(client))
            pause = daemon.popen("pause", "web")
            daemon.wait_state("web", "paused")
            self.kill(daemon)
            self.assertEqual(daemon.unit("web")["state"], "paused")
            self.assertTrue(echoes(client))
            waiting = connect(daemon.port("web"))
        self.assertEqual(pause.wait(DEADLINE), 0)
        pause.communicate()
        self.assertEqual(daemon.sockets("web")[0]["queue"], 1)
        self.assert_says(daemon.run("resume", "web"), 0)
        self.assertTrue(echoes(waiting))
        waiting.close()


if __name__ == "__main__":
    main()
