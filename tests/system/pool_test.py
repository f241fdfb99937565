# SPDX-License-Identifier: Apache-2.0
"""A pool: many workers on the same sockets, each started, watched and restarted on its own."""
import os
import re
import signal

from harness import Story, http_get, main, wait_for, web


class Pool(Story):
    def pids(self, daemon, unit="web"):
        return [w["pid"] for w in sorted(daemon.workers(unit), key=lambda w: w["slot"]) if w["state"] == "ready"]

    def pool(self, count, **unit):
        """A daemon with the unit "web", when all its workers are ready."""
        daemon = self.daemon({"web": web(workers=count, **unit)})
        wait_for("all to be ready", lambda: len(self.pids(daemon)) == count)
        return daemon

    def test_every_worker_of_a_pool_serves_and_knows_its_place(self):
        daemon = self.pool(4, arguments=["--release", "slot-{slot}-of-{generation}"])
        workers = daemon.workers("web")
        self.assertEqual(sorted(w["slot"] for w in workers), [0, 1, 2, 3])
        self.assertIn("4/4", daemon.run("list").out)
        seen = set()

        def all_answered():
            seen.add(re.search(r"release=(\S+)", http_get(daemon.port("web"))[1])[1])
            return len(seen) == 4
        wait_for("each of the four to answer", all_answered)
        self.assertEqual(seen, {"slot-%d-of-1" % i for i in range(4)})

    def test_auto_is_a_worker_for_each_cpu_that_the_supervisor_may_use(self):
        cpus = os.sched_getaffinity(0)
        daemon = self.daemon({"web": web(workers="auto")})
        self.assertEqual(len(daemon.workers("web")), len(cpus))
        one = next(iter(cpus))
        os.sched_setaffinity(daemon.pid, {one})
        self.assert_says(daemon.run("restart", "web"), 0)
        self.assertEqual(len(daemon.workers("web")), 1)

    def test_a_worker_that_dies_is_replaced_in_its_place_and_the_others_do_not_notice(self):
        daemon = self.pool(3)
        before = self.pids(daemon)
        os.kill(before[1], signal.SIGKILL)

        def replaced():
            now = self.pids(daemon)
            return now if len(now) == 3 and now[1] != before[1] else None
        after = wait_for("another in its place", replaced)
        self.assertEqual((after[0], after[2]), (before[0], before[2]))
        self.assertEqual(daemon.unit("web")["generation"], 1)

    def test_what_waits_in_the_queue_outlives_a_worker_of_the_pool(self):
        daemon = self.pool(3)
        load = self.load(daemon.port("web"), seconds=2, rate=600)
        victims = 0
        while load.is_running():
            pids = self.pids(daemon)
            if len(pids) == 3:
                os.kill(pids[victims % 3], signal.SIGKILL)
                victims += 1
                wait_for("its end", lambda: pids[(victims - 1) % 3] not in self.pids(daemon))
            if victims == 4:  # the start limit is five in ten seconds
                break
        result = load.finish()
        # One worker has one request in its hands, if any; none was refused, and none that waited was lost.
        self.assertLessEqual(result["failed"], victims * 16, result["failures"])
        self.assertEqual(result["failures"]["refused"], 0, result["failures"])
        self.assertEqual(result["failures"]["timeout"], 0, result["failures"])

    def test_restarts_of_a_pool_lose_nothing(self):
        for keep_alive in (False, True):
            daemon = self.daemon({"web": web(workers=4)}, folder="keep" if keep_alive else "each")
            load = self.load(daemon.port("web"), keep_alive=keep_alive)
            count = 0
            while load.is_running():
                self.assert_says(daemon.run("restart", "web"), 0)
                count += 1
            self.assertGreater(count, 0)
            self.assert_clean(load.finish(), least=100)
            self.assertEqual(len(daemon.workers("web")), 4)
            self.assertEqual({w["generation"] for w in daemon.workers("web")}, {count + 1})

    def test_one_bad_worker_of_the_new_pool_leaves_the_old_pool_whole(self):
        # The one in slot 2 of the second generation ends before it is ready.
        script = "[ {slot}{generation} = 22 ] && exit 3; exec %s" % os.path.join(os.environ["HOLDFAST_BIN"], "holdfast-webserver")
        unit = web(workers=3).replace("exec_start = ", "exec_start = [\"/bin/sh\", \"-c\", %r]\n# " % script)
        daemon = self.daemon({"web": unit})
        wait_for("all to be ready", lambda: len(self.pids(daemon)) == 3)
        before = self.pids(daemon)
        load = self.load(daemon.port("web"))
        answer = daemon.run("restart", "web")
        self.assert_says(answer, 1, "exit code 3")
        self.assert_clean(load.finish(), least=100)
        wait_for("the new ones to be gone", lambda: len(daemon.workers("web")) == 3)
        self.assertEqual(self.pids(daemon), before)

    # ---- another size ----

    def test_scale_changes_the_pool_under_load_and_loses_nothing(self):
        daemon = self.pool(2)
        first = self.pids(daemon)
        for keep_alive in (False, True):
            load = self.load(daemon.port("web"), seconds=2, keep_alive=keep_alive)
            for count in (6, 1, 4, 2):
                self.assert_says(daemon.run("scale", "web", str(count)), 0, "%d worker" % count)
                self.assertEqual(len(daemon.workers("web")), count)
                self.assertEqual(sorted(w["slot"] for w in daemon.workers("web")), list(range(count)))
            self.assert_clean(load.finish(), least=100)
        self.assertEqual(self.pids(daemon)[0], first[0], "the lowest place was never given up")
        self.assertEqual(daemon.unit("web")["generation"], 1)

    def test_a_scaled_pool_keeps_its_size_until_the_file_has_another(self):
        daemon = self.pool(2)
        self.assert_says(daemon.run("scale", "web", "3"), 0)
        self.assert_says(daemon.run("apply"), 0)
        self.assertEqual(len(self.pids(daemon)), 3, "the file has not changed")
        self.assert_says(daemon.run("restart", "web"), 0)
        self.assertEqual(len(self.pids(daemon)), 3)
        before = self.pids(daemon)
        daemon.write("web", web(workers=1))
        self.assert_says(daemon.run("apply"), 0)
        wait_for("one to be left", lambda: self.pids(daemon) == before[:1])
        self.assert_says(daemon.run("stop", "web"), 0)
        self.assert_says(daemon.run("scale", "web", "2"), 0, "will be started with 2 workers")
        self.assert_says(daemon.run("start", "web"), 0)
        self.assertEqual(len(self.pids(daemon)), 2)

    def test_a_pool_that_cannot_grow_says_so_and_serves_on(self):
        script = "[ {slot} = 2 ] && exit 3; exec %s" % os.path.join(os.environ["HOLDFAST_BIN"], "holdfast-webserver")
        unit = web(workers=2).replace("exec_start = ", "exec_start = [\"/bin/sh\", \"-c\", %r]\n# " % script)
        daemon = self.daemon({"web": unit})
        wait_for("both to be ready", lambda: len(self.pids(daemon)) == 2)
        before = self.pids(daemon)
        self.assert_says(daemon.run("scale", "web", "3"), 1, "3 workers", "exit code 3")
        self.assertEqual(self.pids(daemon), before)
        self.assert_says(daemon.run("scale", "web", "2"), 0)
        self.assertEqual(self.pids(daemon), before)

    def test_a_size_that_cannot_be_is_refused(self):
        daemon = self.pool(1)
        for bad in ("0", "-1", "1025", "many", ""):
            self.assertEqual(daemon.run("scale", "web", bad).status, 2, bad)
        self.assertEqual(daemon.run("scale", "web").status, 2)
        self.assertEqual(daemon.run("scale", "wob", "2").status, 4)

    # ---- slot by slot ----

    def fewest_ready(self, daemon, since):
        """How many were ready at the worst moment since that event, by the events; at most as many as now."""
        ready = worst = len(self.pids(daemon))
        events = [e for e in daemon.call("Events")["events"] if e["number"] > since]
        for event in reversed(events):  # back in time from now
            if event["kind"] == "worker-ready":
                ready -= 1
            elif event["kind"] == "worker-gone":
                ready += 1
            worst = min(worst, ready)
        return worst

    def test_rolling_restarts_lose_nothing_and_always_have_the_whole_pool(self):
        daemon = self.pool(4, rollout={"strategy": "rolling", "drain_timeout": "10s"})
        load = self.load(daemon.port("web"), seconds=2)
        count = 0
        while load.is_running():
            since = daemon.last_event()
            self.assert_says(daemon.run("restart", "web"), 0)
            self.assertGreaterEqual(self.fewest_ready(daemon, since), 4)
            count += 1
        self.assertGreater(count, 0)
        self.assert_clean(load.finish(), least=100)
        self.assertEqual({w["generation"] for w in daemon.workers("web")}, {count + 1})

    def test_rolling_without_surge_takes_one_away_at_a_time(self):
        daemon = self.pool(3, rollout={"strategy": "rolling", "max_surge": 0, "max_unavailable": 1})
        load = self.load(daemon.port("web"), seconds=1)
        self.assert_says(daemon.run("restart", "web"), 0)
        self.assert_clean(load.finish(), least=100)
        self.assertEqual({w["generation"] for w in daemon.workers("web")}, {2})

    def test_a_rolling_restart_that_fails_half_way_ends_with_the_old_pool_whole(self):
        script = "[ {slot}{generation} = 22 ] && exit 3; exec %s" % os.path.join(os.environ["HOLDFAST_BIN"], "holdfast-webserver")
        unit = web(workers=3, rollout={"strategy": "rolling"})
        daemon = self.daemon({"web": unit.replace("exec_start = ", "exec_start = [\"/bin/sh\", \"-c\", %r]\n# " % script)})
        wait_for("all to be ready", lambda: len(self.pids(daemon)) == 3)
        load = self.load(daemon.port("web"), seconds=2)
        self.assert_says(daemon.run("restart", "web"), 1, "exit code 3")
        self.assert_clean(load.finish(), least=100)
        wait_for("the old pool to be whole", lambda: len(daemon.workers("web")) == 3 and len(self.pids(daemon)) == 3)
        self.assertEqual({w["generation"] for w in daemon.workers("web")}, {1})


if __name__ == "__main__":
    main()
