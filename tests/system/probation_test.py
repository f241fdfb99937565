# SPDX-License-Identifier: Apache-2.0
"""A release that becomes ready and fails a moment later: the old one was at hand, and serves again."""
import os
import signal

from harness import Story, http_get, main, wait_for, web


class Probation(Story):
    def ready(self, daemon, generation):
        return [w["pid"] for w in daemon.workers("web") if w["state"] == "ready" and w["generation"] == generation]

    def test_a_release_that_dies_on_probation_gives_the_service_back(self):
        for more in ({}, {"socket_more": {"reuse_port": True, "non_blocking": True}}):
            daemon = self.daemon({"web": web(workers=2, rollout={"probation": "20s"}, **more)}, folder="%d" % len(more))
            wait_for("both", lambda: len(self.ready(daemon, 1)) == 2)
            old = self.ready(daemon, 1)
            restart = daemon.popen("restart", "web")
            daemon.wait_event("took-over")
            fresh = wait_for("the new ones", lambda: self.ready(daemon, 2))
            self.assertEqual(self.ready(daemon, 1), old, "they are at hand")
            os.kill(fresh[0], signal.SIGKILL)
            out = restart.communicate(timeout=20)
            self.assertEqual(restart.returncode, 1, out)
            wait_for("the new ones to be gone", lambda: {w["pid"] for w in daemon.workers("web")} == set(old))
            self.assertEqual(http_get(daemon.port("web"))[0], 200)

    def test_a_release_that_holds_its_probation_stays(self):
        daemon = self.daemon({"web": web(workers=2, rollout={"probation": "300ms"})})
        load = self.load(daemon.port("web"))
        self.assert_says(daemon.run("restart", "web"), 0)
        self.assert_clean(load.finish(), least=100)
        self.assertEqual({w["generation"] for w in daemon.workers("web")}, {2})

    def test_a_stop_on_probation_ends_both(self):
        daemon = self.daemon({"web": web(rollout={"probation": "20s"})})
        restart = daemon.popen("restart", "web")
        daemon.wait_event("took-over")
        self.assert_says(daemon.run("stop", "web"), 0)
        restart.communicate(timeout=20)
        self.assertEqual(restart.returncode, 1)
        self.assertEqual(daemon.workers("web"), [])


if __name__ == "__main__":
    main()
