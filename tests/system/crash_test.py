# SPDX-License-Identifier: Apache-2.0
"""Workers that die, hang, leave children behind or speak for others: replaced, backed off, ended whole, and never believed blindly."""
import os
import socket
import time

from harness import (FACTOR, PYTHON, Story, children_of, connect, http_get, main, read_answer, state_of, unit_text, wait_for, wait_gone,
                     web, worker)


def read_numbers(path):
    def read():
        if not os.path.exists(path):
            return None
        with open(path) as file:
            text = file.read()
        return [int(word) for word in text.split()] if text.endswith("\n") else None
    return wait_for("numbers in " + path, read)


class Crash(Story):
    def test_a_killed_worker_is_replaced_at_once(self):
        daemon = self.daemon({"web": web()})
        load = self.load(daemon.port("web"), seconds=1, rate=100)
        old = daemon.pid_of("web")
        since = daemon.last_event()
        os.kill(old, 9)
        died = daemon.wait_event("worker-died", "web", since)
        self.assertIn("killed by SIGKILL", died["text"])
        ready = daemon.wait_event("worker-ready", "web", since)
        self.assertLess(ready["monotonic_usec"] - died["monotonic_usec"], 2e6 * FACTOR)
        self.assertNotEqual(daemon.pid_of("web"), old)
        result = load.finish()
        # What the dead one had accepted is lost with it; who was in the queue is not, and nobody is refused.
        self.assertEqual(result["failures"]["refused"] + result["failures"]["timeout"], 0, result)
        self.assertLessEqual(result["failed"], 5, result)

    def delays(self, daemon, unit, count):
        """Between the death and the next start, of `count` deaths in a row."""
        found, since = [], 0
        for _ in range(count):
            died = daemon.wait_event("worker-died", unit, since)
            ready = daemon.wait_event("worker-ready", unit, died["number"])
            found.append((ready["monotonic_usec"] - died["monotonic_usec"]) / 1e6)
            since = ready["number"]
        return found

    def test_delays_grow_while_it_goes_on_crashing(self):
        unit = unit_text((), {"type": "exec", "exec_start": ["/bin/false"], "restart_delay": "20ms", "restart_max_delay": "2s",
                              "restart_steps": 4, "start_limit_burst": 0})
        daemon = self.daemon({"bad": unit}, active=False)
        delays = self.delays(daemon, "bad", 4)
        # The first at once, then 20 ms, and from there in four steps to 2 s. A busy machine only makes them longer.
        for delay, least in zip(delays, (0, 0.019, 0.06, 0.19)):
            self.assertGreater(delay, least, delays)
        self.assertEqual(daemon.unit("bad")["wanted"], "up")

    def test_the_start_limit_pauses_and_recovers_by_itself(self):
        mended = os.path.join(self.folder, "mended")
        unit = unit_text((), {"type": "exec", "exec_start": ["/bin/sh", "-c", "test -e %s || exit 1; exec sleep 1000" % mended],
                              "restart_delay": "10ms", "restart_max_delay": "20ms", "start_limit_burst": 3, "start_limit_interval": "1s"})
        daemon = self.daemon({"bad": unit, "good": web()}, active=["good"])
        hit = daemon.wait_event("start-limit-hit", "bad")
        self.assertIn("started 3 times in 1s: paused", hit["text"])
        status = daemon.run("status", "bad")
        self.assertIn("paused for", status.text)
        self.assertEqual(daemon.unit("bad")["state"], "backing-off")
        with open(mended, "w"):
            pass
        daemon.wait_event("worker-ready", "bad", hit["number"])
        daemon.wait_state("bad", "active")
        self.assertEqual(daemon.unit("good")["generation"], 1)

    def test_what_the_operator_asks_for_does_not_count_against_the_start_limit(self):
        daemon = self.daemon({"web": web(start_limit_burst=2, start_limit_interval="60s")})
        for _ in range(5):
            self.assert_says(daemon.run("restart", "web"), 0)
            self.assert_says(daemon.run("stop", "web"), 0)
            self.assert_says(daemon.run("start", "web"), 0)

    def test_who_is_restarted_after_what_is_systemds_table(self):
        clean, code, signal_, term = "exit=0", "exit=3", "kill=9", "kill=15"
        table = {"no": [], "on-success": [clean, term], "on-failure": [code, signal_], "on-abnormal": [signal_], "on-watchdog": [],
                 "on-abort": [signal_], "always": [clean, code, signal_, term]}
        units = {}
        for when in table:
            for ending in (clean, code, signal_, term):
                name = "%s.%s" % (when, ending.replace("=", "-"))
                go = os.path.join(self.folder, name)
                units[name] = worker("say=READY=1", "once=" + go + ".once", "wait=" + go, ending, sockets=[], restart=when, restart_delay="10ms")
        daemon = self.daemon(units)
        for name in units:
            with open(os.path.join(self.folder, name), "w"):
                pass
        for name in units:
            when, ending = name.split(".")
            if ending.replace("-", "=") in table[when]:
                wait_for(name + " to be restarted", lambda: [w["worker"] for w in daemon.workers(name) if w["state"] == "ready"] == [2])
            else:
                daemon.wait_state(name, "inactive")
                self.assertIn("ended by itself", daemon.unit(name)["last_event"])
                self.assertEqual(daemon.run("status", name).status, 3)

    # ---- the whole group ----

    def test_children_that_a_worker_leaves_behind_end_with_it(self):
        pids = os.path.join(self.folder, "pids")
        for how in ("stop", "restart", "kill", "crash"):
            with self.subTest(how):
                daemon = self.daemon({"web": worker("children=" + pids, "say=READY=1")}, folder=how)
                children = read_numbers(pids)
                os.unlink(pids)
                self.assertEqual(len(children), 3)
                if how == "kill":
                    os.kill(daemon.pid_of("web"), 9)
                elif how == "crash":
                    os.kill(daemon.pid_of("web"), 6)
                else:
                    self.assert_says(daemon.run(how, "web"), 0)
                for pid in children:
                    wait_gone(pid)
                if os.path.exists(pids) or how != "stop":
                    daemon.wait_state("web", "active")
                    read_numbers(pids)
                    os.unlink(pids)
                self.assertEqual(daemon.end(), 0)

    def test_mainpid_names_the_process_that_counts_and_the_group_ends_with_it(self):
        """MAINPID= of a new process broke the unit: its old pidfd was watched twice."""
        pids = os.path.join(self.folder, "pids")
        daemon = self.daemon({"web": worker("become-child=" + pids, "say=MAINPID={{pid}}\nREADY=1\nSTATUS=the child serves", restart="no")})
        parent, child = read_numbers(pids)
        wait_for("the main process to be known", lambda: daemon.workers("web")[0]["pid"] == child)
        self.assertIn("pid=%d" % child, http_get(daemon.port("web"))[1])
        self.assertEqual(daemon.workers("web")[0]["status"], "the child serves")
        os.kill(parent, 15)  # does not count any more
        wait_gone(parent)
        self.assertIn("pid=%d" % child, http_get(daemon.port("web"))[1])
        self.assertEqual(daemon.unit("web")["state"], "active")
        os.kill(child, 9)
        daemon.wait_event("finished", "web")

    def test_after_mainpid_the_old_main_process_ends_with_the_worker(self):
        """MAINPID= of a new process broke the unit: its old pidfd was watched twice."""
        pids = os.path.join(self.folder, "pids")
        daemon = self.daemon({"web": worker("become-child=" + pids, "say=MAINPID={{pid}}\nREADY=1")})
        parent, child = read_numbers(pids)
        wait_for("the main process to be known", lambda: daemon.workers("web")[0]["pid"] == child)
        self.assert_says(daemon.run("stop", "web"), 0)
        wait_gone(parent)
        wait_gone(child)

    def test_a_worker_that_ignores_sigterm_is_killed_after_timeout_stop(self):
        daemon = self.daemon({"web": worker("say=READY=1", "ignore-term", timeout_stop="300ms")})
        pid = daemon.pid_of("web")
        began = time.monotonic()
        answer = daemon.run("stop", "web")
        self.assert_says(answer, 0, "did not end in time and is killed")
        self.assertGreaterEqual(time.monotonic() - began, 0.29)
        self.assertIsNone(state_of(pid))

    # ---- notify ----

    def test_a_start_and_a_stop_that_need_more_time_can_ask_for_it(self):
        go, end = os.path.join(self.folder, "go"), os.path.join(self.folder, "end")
        usec = int(30e6 * FACTOR)
        daemon = self.daemon({"web": worker("say=EXTEND_TIMEOUT_USEC=%d" % usec, "wait=" + go, "say=READY=1", "on-term=EXTEND_TIMEOUT_USEC=%d" % usec,
                                            "term-takes=" + end, timeout_start="400ms", timeout_stop="400ms"),
                              "clock": worker("wait=/nonexistent", timeout_start="800ms", restart="no")}, active=False)
        daemon.wait_event("start-deadline-passed", "clock")  # 800 ms later the other one is still waited for
        self.assertEqual(daemon.unit("web")["state"], "starting")
        with open(go, "w"):
            pass
        daemon.wait_state("web", "active")
        stopping = daemon.popen("stop", "web")
        daemon.wait_state("web", "stopping")
        since = daemon.last_event()
        clock = daemon.popen("start", "clock")
        daemon.wait_event("start-deadline-passed", "clock", since)
        self.assertEqual(daemon.unit("web")["state"], "stopping")
        with open(end, "w"):
            pass
        for process, status in ((stopping, 0), (clock, 1)):
            out, err = process.communicate(timeout=20 * FACTOR)
            self.assertEqual(process.returncode, status, out + err)
        self.assertNotIn("killed", daemon.run("events", "web").text)

    def test_a_status_is_shown_and_cleaned(self):
        daemon = self.daemon({"web": worker("say=STATUS=Serving \x1b[31m42 clients \u00e9\nREADY=1")})
        self.assertEqual(daemon.workers("web")[0]["status"], "Serving ?[31m42 clients \u00e9")
        self.assertIn("Serving ?[31m42 clients", daemon.run("status", "web").out)

    def test_ready_from_a_process_that_is_not_of_the_unit_is_ignored(self):
        daemon = self.daemon({"web": worker("orphan-sends=READY=1\nSTATUS=lies\nSTOPPING=1", "wait=/nonexistent", timeout_start="60s", timeout_stop="1s"),
                              "other": worker("say=READY=1\nSTATUS=mine")}, active=["other"])
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(b"READY=1\nSTATUS=stranger", os.path.join(daemon.runtime, "notify"))
            stranger.sendto(b"MAINPID=1", os.path.join(daemon.runtime, "notify"))
        # Messages are taken in their order: when the next one of a real worker is seen, ours were.
        since = daemon.last_event()
        self.assert_says(daemon.run("restart", "other"), 0)
        daemon.wait_event("worker-ready", "other", since)
        unit = daemon.unit("web")
        self.assertEqual(unit["state"], "starting")
        self.assertIsNone(unit["workers"][0]["status"])
        self.assertEqual(daemon.workers("other")[0]["status"], "mine")

    def test_a_mainpid_that_is_not_of_the_unit_is_refused(self):
        daemon = self.daemon({"web": worker("say=MAINPID=%d\nREADY=1" % os.getpid())})
        self.assertIn(str(os.getpid()), daemon.wait_event("main-pid-refused", "web")["text"])
        self.assertNotEqual(daemon.pid_of("web"), os.getpid())

    def test_a_child_of_the_worker_may_say_ready(self):
        code = "import os, socket, time\nif os.fork() == 0: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'READY=1', os.environ['NOTIFY_SOCKET'])\ntime.sleep(1000)"
        daemon = self.daemon({"web": unit_text((), {"type": "notify", "exec_start": [PYTHON, "-I", "-S", "-c", code]})})
        self.assertEqual(daemon.unit("web")["state"], "active")

    def test_orphans_are_reaped(self):
        daemon = self.daemon({"web": worker(*["orphan"] * 20, "say=READY=1")})
        pid = daemon.pid_of("web")
        wait_for("only the worker to be left below holdfastd", lambda: children_of(daemon.pid) == [pid])

    def test_a_changed_timeout_stop_is_in_force_after_apply(self):
        """apply said `changed without a restart`, but what runs was stopped by the old value."""
        daemon = self.daemon({"web": worker("say=READY=1", "ignore-term", timeout_stop="%ds" % (5 * FACTOR))})
        daemon.write("web", worker("say=READY=1", "ignore-term", timeout_stop="200ms"))
        self.assert_says(daemon.run("apply"), 0)
        began = time.monotonic()
        self.assert_says(daemon.run("stop", "web"), 0)
        self.assertLess(time.monotonic() - began, 4 * FACTOR)

    def test_a_crash_while_the_unit_is_stopped_leaves_it_stopped(self):
        end = os.path.join(self.folder, "end")
        daemon = self.daemon({"web": worker("say=READY=1", "term-takes=" + end, restart="always")})
        stopping = daemon.popen("stop", "web")
        daemon.wait_state("web", "stopping")
        os.kill(daemon.workers("web")[0]["pid"], 11)
        out, err = stopping.communicate(timeout=20 * FACTOR)
        self.assertEqual(stopping.returncode, 0, out + err)
        self.assertEqual(daemon.unit("web")["state"], "inactive")
        with connect(daemon.port("web")) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            self.assert_says(daemon.run("start", "web"), 0)
            with open(end, "w"):
                pass
            self.assertEqual(read_answer(client)[0], 200)


if __name__ == "__main__":
    main()
