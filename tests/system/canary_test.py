# SPDX-License-Identifier: Apache-2.0
"""strategy = "canary": a new release gets its share of the connections and no more, and gives it back at once when it fails."""
import os
import signal
import subprocess
import time

from harness import FACTOR, Story, http_get, main, wait_for, web
from witness import Witness, last_of

CONNECTIONS = 4000  # at 5 % the share of so many is within 2 % but once in a hundred million runs
WORKERS = 4


class Canary(Story):
    def release(self, number, sharded=True, steps=(5, 50), hold="60s", listen="127.0.0.1:0", timeout="%ds" % (5 * FACTOR),
                drain="%ds" % (10 * FACTOR)):
        """Release 2 answers 500 on /healthz as soon as there is a file `bad` in the folder."""
        socket = {"reuse_port": True, "non_blocking": True} if sharded else {}
        text = web(listen, ["--unhealthy-if", self.bad] if number == 2 else [], str(number), socket_more=socket,
                   rollout={"strategy": "canary", "steps": list(steps), "hold": hold, "probation": "0s", "drain_timeout": drain},
                   workers=WORKERS)
        return text + '[health]\nhttp = "/healthz"\ninterval = "100ms"\nfailures = 1\ntimeout = "%s"\n' % timeout

    @property
    def bad(self):
        return os.path.join(self.folder, "bad")

    def in_the_first_step(self, folder=None, **more):
        """Release 1 serves, and `holdfast apply` rolls release 2 out; it has the share of the first step."""
        daemon = self.daemon({"web": self.release(1, **more)}, folder=folder)
        wait_for("all", lambda: len(self.ready(daemon, 1)) == WORKERS)
        daemon.write("web", self.release(2, **more))
        apply = daemon.popen("apply")
        daemon.wait_event("canary-step")
        return daemon, apply

    def ready(self, daemon, generation):
        return [w["pid"] for w in daemon.workers("web") if w["state"] == "ready" and w["generation"] == generation]

    def share(self, target, count=CONNECTIONS):
        """Percent of new connections that the second release gets."""
        return 100 * sum("release=2" in http_get(target)[1] for _ in range(count)) / count

    def under_way(self, daemon):
        return daemon.call("History", unit="web")["under_way"][0]

    def assert_all_is_back(self, daemon):
        wait_for("the old ones alone", lambda: {w["generation"] for w in daemon.workers("web")} == {1})
        self.assertEqual(len(self.ready(daemon, 1)), WORKERS)

    def assert_failed(self, daemon, apply, *words):
        out = "".join(apply.communicate(timeout=20))
        self.assertEqual(apply.returncode, 1, out)
        report = daemon.run("report", "web", "--json").json["report"]
        self.assertEqual((report["verdict"], report["strategy"]), ("failed", "canary"))
        for word in words:
            self.assertIn(word, out)
            self.assertIn(word, report["reason"])
        self.assertIn("generation 1 serves on", out)

    def fails(self, daemon, fault, *words, sharded=True):
        """The canary fails in one way or another: how long after the fault did somebody reach it still?"""
        witness = Witness(daemon.port("web"))
        wait_for("the canary to be seen", lambda: any(one.release == "2" for one in list(witness.seen)))
        since = daemon.last_event()
        apply = fault()
        began = time.monotonic()
        daemon.wait_event("rollout-failed", since=since)
        seen_from = time.monotonic()
        self.assert_failed(daemon, apply, *words)
        self.assert_all_is_back(daemon)
        wait_for("requests after that", lambda: len(witness.seen) and witness.seen[-1].sent > seen_from)
        seen = witness.finish()
        last = last_of(seen, "2")
        self.assertLess((last or began) - began, 1 * FACTOR)
        return [one for one in seen if one.failure]

    def test_on_shards_the_share_is_exact_and_an_undo_gives_it_back(self):
        daemon, apply = self.in_the_first_step()
        self.assertAlmostEqual(self.share(daemon.port("web")), 5, delta=2)
        self.assert_says(daemon.run("rollout", "status", "web"), 0, "(canary, 5 %)")
        self.assert_says(daemon.run("rollout", "undo", "web"), 0, "it was undone")
        self.assertEqual(self.share(daemon.port("web"), 100), 0)
        self.assert_failed(daemon, apply, "it was undone")
        self.assert_all_is_back(daemon)

    def test_one_that_answers_500_reaches_few_and_costs_nobody(self):
        daemon, apply = self.in_the_first_step()
        load = self.load(daemon.port("web"))
        self.assertLessEqual(self.share(daemon.port("web")), 5 + 2)

        def fault():
            open(self.bad, "w").close()
            return apply
        self.assertEqual(self.fails(daemon, fault, "answered 500"), [])
        self.assert_clean(load.finish(), least=100)

    def test_one_that_crashes_gives_all_back(self):
        daemon, apply = self.in_the_first_step()

        def fault():
            os.kill(self.ready(daemon, 2)[0], signal.SIGKILL)
            return apply
        self.assertLessEqual(len(self.fails(daemon, fault, "killed by SIGKILL")), 1, "what it held, and nothing that was queued")

    def test_one_that_hangs_in_a_later_step_gives_all_back(self):
        daemon, apply = self.in_the_first_step(hold="200ms", steps=(5, 40), timeout="%dms" % (500 * FACTOR))
        self.assertEqual(daemon.wait_event("canary-step", where=lambda e: "40 %" in e["text"])["kind"], "canary-step")
        self.assert_says(daemon.run("rollout", "pause", "web"), 0)
        os.kill(self.ready(daemon, 2)[0], signal.SIGSTOP)
        self.assert_failed(daemon, apply, "no answer within")
        self.assert_all_is_back(daemon)

    def test_on_a_unix_socket_it_has_as_many_workers_as_come_nearest(self):
        path = os.path.join(self.folder, "web.sock")
        daemon, apply = self.in_the_first_step(sharded=False, hold="300ms", listen="unix:" + path)
        load = self.load(path)
        out = "".join(apply.communicate(timeout=20))
        self.assertEqual(apply.returncode, 0, out)
        # One of five is a fifth, whatever the step says; the report says so.
        for share, part, step in ((20, "1 of the 5", 5), (50, "4 of the 8", 50)):
            self.assertIn("gets about %d %% of new connections: %s workers that accept (the step is %d %%)" % (share, part, step), out)
        self.assertEqual(out[:out.index("gets about 20 %")].count("of generation 2 is ready"), 1)
        self.assert_clean(load.finish(), least=100)
        self.assertEqual(self.share(path, 50), 100)

    def test_on_one_listener_one_that_answers_500_gives_all_back(self):
        daemon, apply = self.in_the_first_step(sharded=False)

        def fault():
            open(self.bad, "w").close()
            return apply
        self.assertEqual(self.fails(daemon, fault, "answered 500"), [])

    def test_a_step_is_held_while_it_is_paused(self):
        daemon, apply = self.in_the_first_step(hold="%dms" % (500 * FACTOR))
        self.assert_says(daemon.run("rollout", "pause", "web"), 0)
        stage = self.under_way(daemon)
        self.assertEqual((stage["stage"], stage["paused"]), ("canary", True))
        try:
            self.fail(apply.communicate(timeout=1.2 * FACTOR))
        except subprocess.TimeoutExpired:
            pass
        self.assertEqual(self.under_way(daemon)["share"], stage["share"])
        self.assert_says(daemon.run("rollout", "resume", "web"), 0)
        out = apply.communicate(timeout=20)
        self.assertEqual(apply.returncode, 0, out)
        self.assertEqual(self.share(daemon.port("web"), 50), 100)

    def test_an_undo_and_a_stop_win_over_a_pause(self):
        for verb in (("rollout", "undo"), ("stop",)):
            with self.subTest(verb):
                daemon, apply = self.in_the_first_step(folder=verb[-1])
                self.assert_says(daemon.run("rollout", "pause", "web"), 0)
                self.assert_says(daemon.run(*verb, "web"), 0)
                out = apply.communicate(timeout=20)
                self.assertEqual(apply.returncode, 1, out)
                if verb == ("stop",):
                    self.assertEqual(daemon.workers("web"), [])
                else:
                    self.assert_all_is_back(daemon)

    def test_a_restart_takes_the_place_of_a_canary(self):
        daemon, apply = self.in_the_first_step()
        load = self.load(daemon.port("web"))
        self.assert_says(daemon.run("restart", "web", "--strategy", "overlap"), 0)
        out = apply.communicate(timeout=20)
        self.assertEqual(apply.returncode, 1, out)
        self.assertIn("newer", "".join(out))
        self.assert_clean(load.finish(), least=100)
        self.assertEqual(len({w["generation"] for w in daemon.workers("web")}), 1)
        self.assertEqual(self.share(daemon.port("web"), 50), 100)

    def test_a_restart_beyond_max_generations_hurries_the_oldest(self):
        rollout = {"probation": "0s", "max_generations": 2, "drain_timeout": "infinity"}
        daemon = self.daemon({"web": web(arguments=["--ignore-term"], timeout_stop="500ms", rollout=rollout)})
        self.assert_says(daemon.run("restart", "web", "--no-wait"), 0)
        daemon.wait_event("took-over")
        self.assertEqual({w["generation"] for w in daemon.workers("web")}, {1, 2}, "the first drains for as long as it likes")
        load = self.load(daemon.port("web"), seconds=2.5)
        self.assert_says(daemon.run("restart", "web", "--no-wait"), 0)
        daemon.wait_event("rollout-waits")
        went = daemon.wait_event("worker-gone", where=lambda e: "of generation 1" in e["text"])
        began = daemon.wait_event("rollout-began", where=lambda e: "generation 3" in e["text"])
        self.assertLess(went["number"], began["number"])
        daemon.wait_event("took-over", where=lambda e: "generation 3" in e["text"])
        self.assertEqual(load.finish()["failed"], 0)


if __name__ == "__main__":
    main()
