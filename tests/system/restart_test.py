# SPDX-License-Identifier: Apache-2.0
"""`holdfast restart` under load costs no client a request (P2), ends with a report (P7), and with a status to go by."""
import os
import threading

from harness import FACTOR, Story, http_get, main, unit_text, web, wait_for, worker


class Restart(Story):
    def restart_until_it_ends(self, daemon, load, *options):
        """As often as the load lasts; each one is done. Returns how often."""
        count = 0
        while load.is_running():
            self.assert_says(daemon.run("restart", "web", *options), 0)
            count += 1
        self.assertGreater(count, 1)
        return count

    def storm(self, target, options=(), keep_alive=False, **unit):
        daemon = self.daemon({"web": web(target or "127.0.0.1:0", **unit)})
        load = self.load(target[5:] if target else daemon.port("web"), keep_alive=keep_alive)
        count = self.restart_until_it_ends(daemon, load, *options)
        self.assert_clean(load.finish(), least=100)
        self.assertEqual(daemon.unit("web")["generation"], count + 1)
        return daemon

    def test_restarts_on_tcp_with_a_connection_per_request_lose_nothing(self):
        self.storm(None)

    def test_restarts_on_tcp_with_keep_alive_lose_nothing(self):
        self.storm(None, keep_alive=True)

    def test_restarts_on_a_unix_socket_lose_nothing(self):
        self.storm("unix:%s/web.sock" % self.folder)

    def test_restarts_on_a_unix_socket_with_keep_alive_lose_nothing(self):
        self.storm("unix:%s/web.sock" % self.folder, keep_alive=True)

    def test_replace_lets_clients_wait_in_the_queue_and_loses_nothing(self):
        daemon = self.storm(None, ["--strategy", "replace"], arguments=["--boot-delay", "50ms"])
        report = daemon.run("restart", "web", "--strategy", "replace", "--json").json["report"]
        self.assertEqual(report["strategy"], "replace")

    def test_replace_with_keep_alive_loses_nothing(self):
        self.storm(None, ["--strategy", "replace"], keep_alive=True)

    def test_replace_of_the_unit_file_runs_one_generation_at_a_time(self):
        notes = os.path.join(self.folder, "starts")
        daemon = self.daemon({"web": worker("note=" + notes, "say=READY=1", rollout={"strategy": "replace"})})
        before = daemon.last_event()
        self.assert_says(daemon.run("restart", "web"), 0)
        events = [e["kind"] for e in daemon.call("Events")["events"] if e["number"] > before]
        self.assertLess(events.index("worker-gone"), events.index("worker-ready"))

    def test_a_restart_serves_with_the_new_program(self):
        daemon = self.daemon({"web": web(release="1")})
        port = daemon.port("web")
        self.assertIn("release=1", http_get(port)[1])
        daemon.write("web", web(release="2"))
        self.assert_says(daemon.run("restart", "web"), 0)
        self.assertIn("release=1", http_get(port)[1], "the file is only read by apply")
        self.assert_says(daemon.run("apply"), 0)
        self.assertIn("release=2", http_get(port)[1])
        self.assertEqual(daemon.port("web"), port)

    def test_the_report_says_what_the_kernel_saw(self):
        daemon = self.daemon({"web": web()})
        answer = daemon.run("restart", "web", "--json")
        events, last = answer.values[:-1], answer.json
        self.assertEqual([e["event"]["kind"] for e in events][0], "rollout-began")
        self.assertIn("worker-ready", [e["event"]["kind"] for e in events])
        self.assertEqual([e["event"]["unit"] for e in events], ["web"] * len(events))
        self.assertTrue(last["ok"])
        report = last["report"]
        self.assertEqual((report["unit"], report["verdict"], report["strategy"]), ("web", "done", "overlap"))
        self.assertEqual((report["generation"], report["previous_generation"]), (2, 1))
        self.assertIsNone(report["reason"])
        self.assertGreater(report["ready_usec"], 0)
        self.assertGreaterEqual(report["drained_usec"], 0)
        self.assertEqual(report["killed_at_deadline"], 0)
        for counter in ("listen_overflows", "listen_drops", "aborted_on_close"):
            self.assertGreaterEqual(report[counter], 0)
        listener, = report["listeners"]
        self.assertEqual(listener["name"], "http")
        self.assertEqual(listener["address"], "127.0.0.1:%d" % daemon.port("web"))
        self.assertEqual((listener["drops"], listener["queue_after"]), (0, 0))
        self.assertGreater(listener["limit"], 0)

    def test_the_report_counts_who_had_to_be_killed(self):
        daemon = self.daemon({"web": worker("say=READY=1", "ignore-term", rollout={"drain_timeout": "200ms"}, timeout_stop="200ms")})
        answer = daemon.run("restart", "web", "--json")
        self.assert_says(answer, 0)
        self.assertEqual(answer.json["report"]["killed_at_deadline"], 1)

    def test_two_restarts_at_once_one_supersedes_the_other_and_no_client_notices(self):
        daemon = self.daemon({"web": web(arguments=["--boot-delay", "150ms"])})
        load = self.load(daemon.port("web"), seconds=2.5)
        verdicts = []
        while load.is_running():
            answers = []
            threads = [threading.Thread(target=lambda: answers.append(daemon.run("restart", "web", "--json"))) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            statuses = sorted(answer.status for answer in answers)
            verdicts += sorted(answer.json["report"]["verdict"] for answer in answers)
            # One after the other when the machine was slow, else the first is superseded: its command says so and fails.
            self.assertIn(statuses, ([0, 0], [0, 1]), answers)
        self.assert_clean(load.finish(), least=100)
        self.assertIn("superseded", verdicts)
        self.assertEqual(len(daemon.workers("web")), 1)

    def test_ten_restarts_in_a_row_without_waiting_end_with_the_last_one(self):
        daemon = self.daemon({"web": web(arguments=["--boot-delay", "30ms"])})
        load = self.load(daemon.port("web"), seconds=2)
        for _ in range(10):
            self.assert_says(daemon.run("restart", "web", "--no-wait"), 0)
        daemon.wait_event("rollout-done", "web", where=lambda e: e["generation"] == 11)
        self.assertEqual(daemon.unit("web")["generation"], 11)
        self.assert_clean(load.finish(), least=100)
        self.assertEqual(len(daemon.workers("web")), 1)

    def test_slow_requests_are_finished_by_the_old_release(self):
        daemon = self.daemon({"web": web()})
        port, answers = daemon.port("web"), []
        old = daemon.pid_of("web")
        client = threading.Thread(target=lambda: answers.append(http_get(port, "/slow?ms=600")))
        client.start()
        wait_for("the request to be accepted", lambda: daemon.sockets("web")[0]["queue"] == 0 and
                 any("socket:" in os.readlink("/proc/%d/fd/%s" % (old, fd)) for fd in os.listdir("/proc/%d/fd" % old) if int(fd) > 6))
        answer = daemon.run("restart", "web", "--json")
        self.assert_says(answer, 0)
        client.join()
        self.assertEqual(answers[0][0], 200)
        self.assertIn("pid=%d " % old, answers[0][1])

    def test_a_unit_that_is_down_is_started_by_restart(self):
        daemon = self.daemon({"web": web(release="7")})
        self.assert_says(daemon.run("stop", "web"), 0)
        self.assert_says(daemon.run("restart", "web"), 0)
        self.assertIn("release=7", http_get(daemon.port("web"))[1])

    def test_a_stop_during_a_rollout_ends_it_and_its_command_says_so(self):
        daemon = self.daemon({"web": web(arguments=["--boot-delay", "60s"], timeout_start="%ds" % (60 * FACTOR))}, active=False)
        self.assert_says(daemon.run("stop", "web"), 0)
        daemon.write("web", web())
        self.assert_says(daemon.run("apply"), 0)
        self.assert_says(daemon.run("start", "web"), 0)
        daemon.write("web", web(arguments=["--boot-delay", "60s"], timeout_start="%ds" % (60 * FACTOR)))
        applying = daemon.popen("apply")
        daemon.wait_event("rollout-began", "web")
        self.assert_says(daemon.run("stop", "web"), 0)
        out, err = applying.communicate(timeout=20 * FACTOR)
        self.assertEqual(applying.returncode, 1, out + err)
        self.assertEqual(daemon.unit("web")["state"], "inactive")

    def test_several_units_on_one_command_line_are_each_restarted(self):
        daemon = self.daemon({"one": web(), "two": web(), "three": unit_text((), {"exec_start": ["/bin/sleep", "1000"]})})
        self.assert_says(daemon.run("restart", "one", "two", "three"), 0, "one:", "two:", "three:")
        self.assertEqual([daemon.unit(u)["generation"] for u in ("one", "two", "three")], [2, 2, 2])


if __name__ == "__main__":
    main()
