# SPDX-License-Identifier: Apache-2.0
"""`holdfast rollout pause` and `resume`: a rollout stays where it is, and what fails rolls back all the same."""
import os
import signal
import subprocess

from harness import FACTOR, Story, main, wait_for, web


class PauseRollout(Story):
    def ready(self, daemon, generation):
        return [w["pid"] for w in daemon.workers("web") if w["state"] == "ready" and w["generation"] == generation]

    def under_way(self, daemon):
        return daemon.call("History", unit="web")["under_way"][0]

    def paused_on_probation(self, probation="1s"):
        daemon = self.daemon({"web": web(workers=2, rollout={"probation": probation})})
        restart = daemon.popen("restart", "web")
        daemon.wait_event("took-over")
        self.assert_says(daemon.run("rollout", "pause", "web"), 0, "the rollout of generation 2 is paused")
        return daemon, restart

    def test_a_paused_probation_lasts_until_it_is_resumed(self):
        daemon, restart = self.paused_on_probation()
        self.assertEqual((self.under_way(daemon)["stage"], self.under_way(daemon)["paused"]), ("probation", True))
        self.assert_says(daemon.run("rollout", "status", "web"), 0, "(probation, paused)")
        try:
            out = restart.communicate(timeout=1.5)
            self.fail(out)
        except subprocess.TimeoutExpired:
            pass
        self.assertEqual(len(self.ready(daemon, 1)), 2, "they are at hand still")
        self.assert_says(daemon.run("rollout", "resume", "web"), 0, "goes on")
        out = restart.communicate(timeout=20)
        self.assertEqual(restart.returncode, 0, out)
        self.assert_says(daemon.run("rollout", "resume", "web"), 1, "no rollout is paused")
        self.assert_says(daemon.run("rollout", "pause", "web"), 1, "no rollout is under way")

    def test_a_crash_rolls_a_paused_rollout_back(self):
        daemon, restart = self.paused_on_probation("60s")
        os.kill(self.ready(daemon, 2)[0], signal.SIGKILL)
        out = restart.communicate(timeout=20)
        self.assertEqual(restart.returncode, 1, out)
        wait_for("the old ones alone", lambda: {w["generation"] for w in daemon.workers("web")} == {1})

    def test_an_undo_and_a_stop_win_over_a_pause(self):
        for verb, status in ((("rollout", "undo"), 0), (("stop",), 0)):
            with self.subTest(verb):
                daemon = self.daemon({"web": web(rollout={"probation": "60s"})}, folder=verb[-1])
                restart = daemon.popen("restart", "web")
                daemon.wait_event("took-over")
                self.assert_says(daemon.run("rollout", "pause", "web"), 0)
                self.assert_says(daemon.run(*verb, "web"), status)
                restart.communicate(timeout=20)
                self.assertEqual(restart.returncode, 1)

    def test_a_paused_rolling_takes_no_further_slot(self):
        rollout = {"strategy": "rolling", "probation": "0s"}
        daemon = self.daemon({"web": web(workers=3, rollout=rollout)})
        wait_for("all", lambda: len(self.ready(daemon, 1)) == 3)
        daemon.write("web", web(workers=3, release="2", arguments=["--boot-delay", "%dms" % (300 * FACTOR)], rollout=rollout))
        apply = daemon.popen("apply")
        daemon.wait_event("rollout-began")
        self.assert_says(daemon.run("rollout", "pause", "web"), 0)
        wait_for("the first of the new ones", lambda: len(self.ready(daemon, 2)) == 1)
        self.assertEqual(len(self.ready(daemon, 1)), 3, "none of them goes")
        self.assertEqual(len(daemon.workers("web")), 4)
        self.assert_says(daemon.run("rollout", "resume", "web"), 0)
        out = apply.communicate(timeout=20)
        self.assertEqual(apply.returncode, 0, out)
        self.assertEqual(len(self.ready(daemon, 2)), 3)


if __name__ == "__main__":
    main()
