# SPDX-License-Identifier: Apache-2.0
"""Programs that re-read their configuration themselves: `holdfast reload`, and rollouts in place. No process is replaced."""
import os
import signal

from harness import FACTOR, Story, main, tcp, wait_for, wait_gone, web, worker


class ReloadStory(Story):
    def path(self, name="reloads"):
        return os.path.join(self.folder, name)

    def how(self, word):
        with open(self.path() + ".how", "w") as file:
            file.write(word)

    def reloads(self):
        """The pids of those who were asked to, in order."""
        try:
            with open(self.path()) as file:
                return [int(line) for line in file]
        except FileNotFoundError:
            return []

    def serving(self, *arguments, workers=3, timeout_start="10s", **more):
        unit = worker("reload=" + self.path(), *arguments, "say=READY=1", type=more.pop("type", "notify-reload"), workers=workers,
                      **{"timeout_start": timeout_start, **more})
        return self.daemon({"web": unit})

    def pids(self, daemon):
        return [one["pid"] for one in sorted(daemon.workers("web"), key=lambda one: one["worker"])]


class Reload(ReloadStory):
    def test_workers_reload_one_after_the_other_under_load_and_stay_who_they_are(self):
        daemon = self.serving()
        before = self.pids(daemon)
        load = self.load(daemon.port("web"))
        self.assert_says(daemon.run("reload", "web"), 0, "all workers have reloaded")
        self.assertEqual(self.reloads(), before)
        self.assertEqual(self.pids(daemon), before)
        self.assertEqual({one["status"] for one in daemon.workers("web")}, {"reloaded"})
        self.assert_clean(load.finish())

    def test_ready_without_reloading_is_no_answer_and_the_deadline_is_told(self):
        daemon = self.serving(timeout_start="%dms" % (700 * FACTOR))
        for how in "hang", "late":
            self.how(how)
            asked_before = len(self.reloads())
            answer = daemon.run("reload", "web")
            self.assert_says(answer, 1, "has not reloaded within", "timeout_start")
            self.assertEqual(len(self.reloads()), asked_before + 1, "the others are not asked")
        self.assertIn("has not reloaded", daemon.unit("web")["problem"])
        self.how("well")
        self.assert_says(daemon.run("reload", "web"), 0)
        self.assertIsNone(daemon.unit("web")["problem"])

    def test_one_that_dies_of_it_is_replaced_and_the_others_are_not_asked(self):
        daemon = self.serving()
        before = self.pids(daemon)
        self.how("die")
        self.assert_says(daemon.run("reload", "web"), 1, "was ready and ended", "exit code 7")
        self.assertEqual(self.reloads(), before[:1])
        daemon.wait_whole("web")
        self.assertEqual(self.pids(daemon)[:2], before[1:])

    def test_the_command_is_given_the_main_process_and_what_it_says_counts(self):
        log = self.path("log")
        script = "echo $MAINPID {slot} $COLOUR >> %s; test ! -e %s.bad; exit $(( $? * 3 ))" % (log, log)
        daemon = self.daemon({"web": worker("say=READY=1", workers=2, exec_reload=["/bin/sh", "-c", script],
                                            environment={"COLOUR": "red"})})
        self.assert_says(daemon.run("reload", "web"), 0, "all workers have reloaded")
        with open(log) as file:
            self.assertEqual(file.read(), "".join("%d %d red\n" % (pid, slot) for slot, pid in enumerate(self.pids(daemon))))
        with open(log + ".bad", "w"):
            pass
        self.assert_says(daemon.run("reload", "web"), 1, "/bin/sh", "exit code 3")
        self.assertEqual(daemon.run("--json", "reload", "web").json["ok"], False)

    def test_a_command_that_hangs_is_killed_at_the_deadline_and_leaves_nobody(self):
        pid_file = self.path("pid")
        daemon = self.daemon({"web": worker("say=READY=1", exec_reload=["/bin/sh", "-c", "echo $$ > %s; sleep 1000 & wait" % pid_file],
                                            timeout_start="%dms" % (700 * FACTOR))})
        self.assert_says(daemon.run("reload", "web"), 1, "has not reloaded within")
        with open(pid_file) as file:
            wait_gone(int(file.read()))

    def test_a_signal_that_kills_reaches_one_worker(self):
        """Nothing answers a signal, so all of them had "reloaded" in the same moment."""
        daemon = self.serving(type="notify", reload_signal="SIGHUP")
        before = self.pids(daemon)
        self.how("die")
        self.assert_says(daemon.run("reload", "web"), 1, "exit code 7")
        self.assertEqual(self.reloads(), before[:1])

    def test_one_that_is_not_well_after_it_is_the_last(self):
        daemon = self.daemon({"web": worker("reload=" + self.path(), "say=READY=1", type="notify-reload", workers=2) +
                              '[health]\nexec = ["/bin/sh", "-c", "test ! -e %s"]\nfailures = 1\n' % self.path()})
        before = self.pids(daemon)
        self.assert_says(daemon.run("reload", "web"), 1, "is not healthy")
        self.assertEqual(self.reloads(), before[:1])

    def test_a_signal_alone_is_enough(self):
        daemon = self.serving(type="notify", reload_signal="SIGHUP", workers=2)
        self.assert_says(daemon.run("reload", "web"), 0)
        wait_for("both reloads", lambda: sorted(self.reloads()) == sorted(self.pids(daemon)))

    def test_a_way_to_reload_may_come_and_go_without_a_restart(self):
        """What a generation was started with was asked, not what it goes on by: it "had reloaded" though nothing was run."""
        log = self.path("log")
        text = lambda **more: worker("say=READY=1", **more)
        daemon = self.daemon({"web": text()})
        old = daemon.pid_of("web")
        self.assert_says(daemon.run("reload", "web"), 1, "no way to reload")
        daemon.write("web", text(exec_reload=["/bin/sh", "-c", "echo $MAINPID >> " + log], rollout={"strategy": "in_place"}))
        self.assert_says(daemon.run("apply"), 0)
        self.assert_says(daemon.run("reload", "web"), 0)
        self.assert_says(daemon.run("restart", "web"), 0)
        with open(log) as file:
            self.assertEqual(file.read(), "%d\n" % old * 2)
        self.assertEqual(daemon.pid_of("web"), old)
        os.kill(old, signal.SIGKILL)
        wait_for("another one", lambda: any(one["pid"] != old and one["state"] == "ready" for one in daemon.workers("web")))
        self.assert_says(daemon.run("reload", "web"), 0)
        daemon.write("web", text())
        self.assert_says(daemon.run("apply"), 0)
        self.assert_says(daemon.run("reload", "web"), 1, "no way to reload")

    def test_a_command_that_is_not_found_is_told_by_its_own_name(self):
        daemon = self.daemon({"web": worker("say=READY=1", exec_reload=["/nonexistent/program"])})
        self.assert_says(daemon.run("reload", "web"), 1, "/nonexistent/program", "correct `exec_reload`")

    def test_what_cannot_reload_or_does_not_run_says_so(self):
        daemon = self.daemon({"web": web(), "down": "[unit]\nstart_at_boot = false\n" + worker("say=READY=1", reload_signal="SIGHUP")},
                             active=["web"])
        self.assert_says(daemon.run("reload", "web"), 1, "no way to reload", "a restart replaces its workers")
        self.assert_says(daemon.run("reload", "down"), 3, "`down` is inactive", "holdfast start down")
        self.assert_says(daemon.run("reload", "wbe"), 4, "did you mean `web`")
        self.assert_says(daemon.run("restart", "--strategy", "in_place", "web"), 1, "no way to reload")


class InPlace(ReloadStory):
    def serving(self, *arguments, probation="0s", **more):
        return super().serving(*arguments, rollout={"strategy": "in_place", "probation": probation}, **more)

    def test_a_restart_in_place_has_a_report(self):
        daemon = self.serving(probation="%dms" % (300 * FACTOR))
        before = self.pids(daemon)
        answer = daemon.run("--json", "restart", "web")
        self.assertEqual(answer.status, 0, answer)
        report = daemon.run("--json", "report", "web").json["report"]
        self.assertEqual((report["verdict"], report["strategy"]), ("done", "in_place"))
        self.assertGreaterEqual(report["lasted_usec"], 300000 * FACTOR)
        self.assertEqual(self.pids(daemon), before)
        self.assertEqual(self.reloads(), before)
        daemon.wait_event("took-effect", "web")
        self.assertEqual(daemon.run("rollout", "undo", "web").status, 1)

    def test_a_configuration_that_kills_reaches_one_worker_and_the_exit_status_is_1(self):
        daemon = self.serving()
        before = self.pids(daemon)
        self.how("die")
        self.assert_says(daemon.run("restart", "web"), 1, "failed", "exit code 7")
        self.assertEqual(self.reloads(), before[:1])

    def test_a_worker_that_dies_on_probation_fails_it(self):
        daemon = self.serving(probation="%ds" % (20 * FACTOR))
        waiting = daemon.popen("restart", "web")
        took_effect = daemon.wait_event("took-effect", "web")
        os.kill(self.pids(daemon)[1], signal.SIGKILL)
        daemon.wait_event("rollout-failed", "web", took_effect["number"])
        waiting.communicate(timeout=10 * FACTOR)
        self.assertEqual(waiting.returncode, 1)

    def test_another_program_comes_by_an_overlap(self):
        daemon = self.serving(workers=1)
        old = daemon.pid_of("web")
        changed = worker("reload=" + self.path(), "say=READY=1", type="notify-reload", environment={"RELEASE": "2"},
                         rollout={"strategy": "in_place"})
        daemon.write("web", changed)
        self.assert_says(daemon.run("apply"), 0)
        self.assertNotEqual(daemon.pid_of("web"), old)
        self.assertEqual(self.reloads(), [])
        self.assertIn("by overlap", daemon.wait_event("rollout-began", "web")["text"])
        self.assertEqual(daemon.run("--json", "report", "web").json["report"]["strategy"], "overlap")

    def test_what_changes_for_the_supervisor_alone_is_no_reason_to_replace_it(self):
        daemon = self.serving(workers=1)
        old = daemon.pid_of("web")
        daemon.write("web", worker("reload=" + self.path(), "say=READY=1", type="notify-reload", timeout_start="10s", timeout_stop="7s",
                                   rollout={"strategy": "in_place"}))
        self.assert_says(daemon.run("apply"), 0)
        self.assert_says(daemon.run("restart", "web"), 0)
        self.assertEqual((daemon.pid_of("web"), self.reloads()), (old, [old]))

    def test_a_command_ends_with_the_rollout_that_it_was_for(self):
        """Another worker failed, and the command ran on without a deadline."""
        pid_file = self.path("pid")
        script = "if test {slot} = 1; then echo $$ > %s.new; mv %s.new %s; sleep 1000 & wait; fi" % (pid_file, pid_file, pid_file)
        daemon = self.daemon({"web": worker("say=READY=1", workers=2, exec_reload=["/bin/sh", "-c", script], rollout={"strategy": "in_place"})})
        first = self.pids(daemon)[0]
        waiting = daemon.popen("restart", "web")
        wait_for("the second command", lambda: os.path.exists(pid_file))
        os.kill(first, signal.SIGKILL)
        waiting.communicate(timeout=10 * FACTOR)
        self.assertEqual(waiting.returncode, 1)
        with open(pid_file) as file:
            wait_gone(int(file.read()))

    def test_a_socket_that_was_kept_for_the_release_before_is_given_up(self):
        """A restart in place superseded the probation for which it was kept; it stayed held, and served by nobody."""
        more = tcp("more")
        rollout = {"strategy": "overlap", "probation": "%ds" % (60 * FACTOR)}
        arguments = ["reload=" + self.path(), "say=READY=1"]
        daemon = self.daemon({"web": worker(*arguments, sockets=[tcp(), more], type="notify-reload", rollout=rollout)})
        daemon.write("web", worker(*arguments, type="notify-reload", rollout=rollout))
        waiting = daemon.popen("apply")
        daemon.wait_event("took-over", "web")
        self.assertEqual(len(daemon.sockets("web")), 2)
        self.how("die")
        self.assert_says(daemon.run("restart", "--strategy", "in_place", "web"), 1)
        wait_for("it to be closed", lambda: len(daemon.sockets("web")) == 1)
        waiting.communicate(timeout=10 * FACTOR)

    def test_it_can_be_paused_between_two_workers(self):
        daemon = self.serving()
        self.how("hang")
        waiting = daemon.popen("restart", "web")
        wait_for("the first one", lambda: len(self.reloads()) == 1)
        self.assert_says(daemon.run("rollout", "pause", "web"), 0)
        self.how("well")
        os.kill(self.reloads()[0], signal.SIGHUP)  # it answers now
        daemon.wait_event("worker-reloaded", "web")
        self.assertEqual(daemon.run("--json", "rollout", "status", "web").json["paused"], True)
        self.assertEqual(len(set(self.reloads())), 1)
        self.assert_says(daemon.run("rollout", "resume", "web"), 0)
        waiting.communicate(timeout=10 * FACTOR)
        self.assertEqual(waiting.returncode, 0)
        self.assertEqual(len(set(self.reloads())), 3)


if __name__ == "__main__":
    main()
