# SPDX-License-Identifier: Apache-2.0
"""A worker that hangs is found out by its silence (watchdog) and replaced; one that pings is left alone."""
import os
import signal

from harness import FACTOR, Story, has_ended, main, wait_for, wait_gone, worker

PERIOD = "%dms" % (300 * FACTOR)


def unit_at_rest(text):
    return "[unit]\nstart_at_boot = false\n" + text


class Watchdog(Story):
    def until(self):
        return os.path.join(self.folder, "until")

    def pings(self, pid):
        """How many tens of pings it has said."""
        try:
            with open(self.until() + ".pings") as file:
                return file.read().split().count(str(pid))
        except FileNotFoundError:
            return 0

    def test_one_that_pings_lives_and_one_that_stops_is_replaced(self):
        unit = worker("ping-until=" + self.until(), "say=READY=1", watchdog=PERIOD)
        daemon = self.daemon({"web": unit})
        old = daemon.pid_of("web")
        wait_for("30 pings", lambda: self.pings(old) >= 3)  # seven periods
        self.assertEqual(daemon.pid_of("web"), old)
        self.assertIsNone(daemon.unit("web")["problem"])
        self.assertNotIn("watchdog", daemon.run("trace", "web").text)  # a ping is no fact
        with open(self.until(), "w"):
            pass
        died = daemon.wait_event("worker-died", "web")
        self.assertIn("did not say WATCHDOG=1 in time", died["text"])
        os.unlink(self.until())
        daemon.wait_event("worker-ready", "web", died["number"])
        self.assertIn("watchdog-missed worker=1", daemon.run("trace", "web").text)
        wait_gone(old)

    def test_one_that_its_signal_does_not_end_is_killed(self):
        unit = worker("ignore-term", "say=READY=1", watchdog=PERIOD, watchdog_signal="SIGTERM", timeout_stop="200ms", restart="no")
        daemon = self.daemon({"web": unit}, active=False)
        died = daemon.wait_event("worker-died", "web")
        self.assertIn("did not say WATCHDOG=1 in time", died["text"])
        wait_gone(died["pid"])

    def test_one_that_is_stopped_is_replaced(self):
        """SIGABRT does not reach who is stopped by SIGSTOP; SIGKILL does."""
        daemon = self.daemon({"web": worker("ping-until=" + self.until(), "say=READY=1", watchdog=PERIOD, timeout_stop="200ms")})
        old = daemon.pid_of("web")
        os.kill(old, signal.SIGSTOP)
        died = daemon.wait_event("worker-died", "web")
        wait_gone(old)
        daemon.wait_event("worker-ready", "web", died["number"])

    def test_it_begins_when_the_worker_is_ready_and_may_be_asked_for_by_the_worker(self):
        go = os.path.join(self.folder, "go")
        unit = worker("say=WATCHDOG_USEC=100000", "wait=" + go, "say=READY=1", restart="no")
        daemon = self.daemon({"web": unit}, active=False)
        daemon.wait_state("web", "starting")
        with open(go, "w"):
            pass
        self.assertIn("did not say WATCHDOG=1", daemon.wait_event("worker-died", "web")["text"])

    def test_a_worker_may_call_itself_broken(self):
        daemon = self.daemon({"web": worker("say=READY=1", "say=WATCHDOG=trigger", watchdog="1h", restart="no")}, active=False)
        self.assertIn("did not say WATCHDOG=1", daemon.wait_event("worker-died", "web")["text"])

    def test_one_that_is_told_to_go_need_not_ping_any_more(self):
        end = os.path.join(self.folder, "end")
        unit = worker("ping-until=" + self.until(), "say=READY=1", "term-takes=" + end, watchdog=PERIOD, rollout={"drain_timeout": "%ds" % (30 * FACTOR)})
        clock = worker("say=READY=1", sockets=[], watchdog=PERIOD, restart="no")
        daemon = self.daemon({"web": unit, "clock": unit_at_rest(clock)}, active=["web"])
        old = daemon.pid_of("web")
        stop = daemon.popen("stop", "web")
        daemon.wait_event("stopping", "web")
        with open(self.until(), "w"):  # mute from here on
            pass
        self.assert_says(daemon.run("start", "clock"), 0)
        daemon.wait_event("worker-died", "clock")
        self.assertFalse(has_ended(old))
        with open(end, "w"):
            pass
        self.assertEqual(stop.wait(20 * FACTOR), 0)
        self.assertIn("exit code 0", daemon.wait_event("worker-gone", "web")["text"])


if __name__ == "__main__":
    main()
