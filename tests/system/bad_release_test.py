# SPDX-License-Identifier: Apache-2.0
"""A release that does not come up costs the one that serves nothing (P2): no failed request, the same process, and a reason."""
import os

from harness import FACTOR, Story, free_port, http_get, main, program, tcp, unit_text, wait_for, web, worker


class BadRelease(Story):
    def refused(self, bad, words, type="notify", good=None, restarts=1):
        """The unit serves; its file becomes `bad`; under load that fails with `words` and changes nothing for clients."""
        daemon = self.daemon({"web": good or web(type=type)})
        port, old = daemon.port("web"), daemon.pid_of("web")
        load = self.load(port, seconds=1.0)
        daemon.write("web", bad)
        answer = daemon.run("apply")
        self.assert_says(answer, 1, "web", *words)
        for _ in range(restarts):
            answer = daemon.run("restart", "web")
            self.assert_says(answer, 1, "generation 1 serves on", *words)
        last = daemon.run("restart", "web", "--json")
        self.assertEqual(last.status, 1)
        self.assertFalse(last.json["ok"])
        self.assertEqual(last.json["report"]["verdict"], "failed")
        self.assertIn(words[0], last.json["report"]["reason"])
        self.assertEqual(daemon.pid_of("web"), old)
        self.assert_clean(load.finish(), least=100)
        self.assertEqual(daemon.pid_of("web"), old)
        wait_for("the failed ones to be gone", lambda: len(daemon.workers("web")) == 1)
        status = daemon.run("status", "web")
        self.assert_says(status, 0, "active", words[0])
        # And it is mended by a good one.
        daemon.write("web", web(release="good", type=type))
        self.assert_says(daemon.run("apply"), 0)
        self.assertIn("release=good", http_get(port)[1])
        self.assertIsNone(daemon.unit("web")["problem"])
        return daemon

    def test_one_that_exits_at_once(self):
        self.refused(web(arguments=["--crash-at-start"]), ["ended before it was ready: exit code 1"])

    def test_one_that_is_killed_before_it_is_ready(self):
        self.refused(worker("kill=9"), ["ended before it was ready: killed by SIGKILL"])

    def test_one_that_exits_with_success_before_it_is_ready(self):
        self.refused(worker("exit=0"), ["ended before it was ready: exit code 0"])

    def test_one_that_never_becomes_ready(self):
        self.refused(web(arguments=["--never-ready"], timeout_start="200ms"), ["was not ready within 200ms (timeout_start)"], restarts=1)

    def test_one_that_never_becomes_ready_and_ignores_sigterm(self):
        self.refused(web(arguments=["--never-ready", "--ignore-term"], timeout_start="200ms", rollout={"drain_timeout": "200ms"}),
                     ["was not ready within 200ms (timeout_start)"])

    def test_the_generation_that_serves_on_is_named_while_a_failed_one_is_still_being_ended(self):
        """The report and the message named the failed generation that was still alive, not the one that serves."""
        bad = web(arguments=["--never-ready", "--ignore-term"], timeout_start="100ms", timeout_stop="300ms", rollout={"drain_timeout": "%ds" % (5 * FACTOR)})
        daemon = self.daemon({"web": web()})
        daemon.write("web", bad)
        self.assert_says(daemon.run("apply"), 1)
        self.assertIn(2, [w["generation"] for w in daemon.workers("web")])
        answer = daemon.run("restart", "web", "--json")
        self.assertEqual(answer.json["report"]["previous_generation"], 1, answer)
        self.assertIn("generation 1 serves on", answer.json["message"])

    def unrunnable(self, name, content, mode=0o755):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, mode)
        return path

    def cannot_be_executed(self, path, words, type):
        bad = unit_text([tcp()], {"type": type, "exec_start": [path]})
        self.refused(bad, ["execute", path, *words], type=type)

    def each_that_cannot_be_executed(self, type):
        folder = os.path.join(self.folder, "folder")
        os.mkdir(folder)
        cases = {
            "missing": ("/nonexistent/program", ["No such file", "correct `exec_start`"]),
            "not executable": (self.unrunnable("plain", b"#!/bin/sh\n", 0o644), ["Permission denied", "chmod +x"]),
            "bad interpreter": (self.unrunnable("script", b"#!/nonexistent/sh\n"), ["No such file", "interpreter"]),
            "not an ELF": (self.unrunnable("data", b"\x7fGARBAGE\0\1\2"), ["Exec format error", "no program of this machine"]),
            "empty": (self.unrunnable("empty", b""), ["Exec format error"]),
            "a folder": (folder, ["Permission denied"]),
        }
        daemon = self.daemon({"web": web(type=type)})
        port, old = daemon.port("web"), daemon.pid_of("web")
        load = self.load(port, seconds=1.0)
        for case, (path, words) in cases.items():
            with self.subTest(case):
                daemon.write("web", unit_text([tcp()], {"type": type, "exec_start": [path]}))
                self.assert_says(daemon.run("apply"), 1, "web", path, *words)
                self.assert_says(daemon.run("restart", "web"), 1, "generation 1 serves on", path, *words)
                self.assertEqual(daemon.pid_of("web"), old)
        self.assert_clean(load.finish(), least=100)
        self.assertEqual(daemon.pid_of("web"), old)

    def test_one_that_cannot_be_executed(self):
        self.each_that_cannot_be_executed("notify")

    def test_one_of_type_exec_that_cannot_be_executed(self):
        self.each_that_cannot_be_executed("exec")

    def test_one_of_type_exec_with_a_missing_working_directory(self):
        self.refused(web(type="exec", working_directory="/nonexistent/place"), ["/nonexistent/place", "create it"], type="exec")

    def test_one_whose_user_does_not_exist(self):
        self.refused(web(user="no-such-user-here"), ["no-such-user-here"])

    def test_a_name_that_is_nowhere_on_the_path(self):
        self.refused(unit_text([tcp()], {"type": "notify", "exec_start": ["holdfast-no-such-program"], "environment": {"PATH": "/usr/bin:/bin"}}),
                     ["holdfast-no-such-program", "on the PATH"])

    def test_one_that_asks_for_more_descriptors_than_it_may_have(self):
        good = web()
        daemon = self.daemon({"web": good})
        old = daemon.pid_of("web")
        daemon.write("web", web(limits={"nofile": 2 ** 31}))
        answer = daemon.run("apply")
        self.assert_says(answer, 1, "limit")
        self.assertEqual(daemon.pid_of("web"), old)

    def replaced(self, *arguments, words, probation="0s", **more):
        """The unit is replaced by a bad release; the good one is started again, and nobody who waited was turned away."""
        rollout = {"strategy": "replace", "probation": probation, "drain_timeout": "%ds" % (10 * FACTOR)}
        daemon = self.daemon({"web": web(release="good", rollout=rollout)})
        old = daemon.pid_of("web")
        daemon.write("web", web(arguments=arguments, release="bad", rollout=rollout, **more))
        load = self.load(daemon.port("web"), seconds=1.5)
        answer = daemon.run("apply")
        self.assert_says(answer, 1, *words)
        self.assertIn("release=good", http_get(daemon.port("web"))[1])
        self.assertNotEqual(daemon.pid_of("web"), old)
        report = daemon.run("report", "web", "--json").json["report"]
        self.assertEqual((report["verdict"], report["previous_generation"]), ("failed", 1))
        self.assertIn(words[0], report["reason"])
        kinds = [event["kind"] for event in daemon.call("Events")["events"]]
        self.assertLess(kinds.index("rolling-back"), kinds.index("rolled-back"))
        return load.finish()

    def test_replace_by_a_bad_release_brings_the_old_one_back(self):
        self.assert_clean(self.replaced("--crash-at-start", words=["exit code 1"]), least=100)

    def test_replace_by_one_that_is_never_ready_brings_the_old_one_back(self):
        self.assert_clean(self.replaced("--never-ready", "--ignore-term", words=["was not ready within 200ms"], timeout_start="200ms",
                                        timeout_stop="200ms"), least=100)

    def test_replace_by_one_that_crashes_on_probation_brings_the_old_one_back(self):
        load = self.replaced("--crash-after", "300ms", words=["exit code 70"], probation="%ds" % (20 * FACTOR))
        self.assertEqual(load["failures"]["refused"], 0)
        self.assertLessEqual(load["failed"], 4)  # what it held when it crashed

    def changes_its_sockets(self, fails):
        """"127.0.0.1:PORT" becomes "0.0.0.0:PORT", and another socket is dropped."""
        rollout = {"strategy": "replace", "probation": "%dms" % (500 * FACTOR), "drain_timeout": "%ds" % (10 * FACTOR)}
        port, other = free_port(), free_port()
        sockets = [tcp("http", "127.0.0.1:%d" % port), tcp("other", "127.0.0.1:%d" % other)]
        service = lambda *more: {"type": "notify", "timeout_start": "%ds" % (10 * FACTOR),
                                 "exec_start": [program("holdfast-webserver"), *more]}
        daemon = self.daemon({"web": unit_text(sockets, service("--release", "good"), rollout=rollout)})
        load = self.load(port, seconds=2.0)
        bad = ["--crash-at-start"] if fails else []
        daemon.write("web", unit_text([tcp("http", "0.0.0.0:%d" % port)], service("--release", "new", *bad), rollout=rollout))
        self.assert_says(daemon.run("apply"), 1 if fails else 0)
        self.assertIn("release=good" if fails else "release=new", http_get(port)[1])
        if not fails:
            wait_for("the other to be closed", lambda: len(daemon.sockets("web")) == 1)
            return self.assert_clean(load.finish(), least=100)
        self.assertIn("release=good", http_get(other)[1])
        # Who came in by the new address, and nobody else: it is closed, and the old release does not serve it.
        result = load.finish()
        self.assertEqual(result["failed"], result["failures"]["reset"])
        self.assertGreater(result["ok"], result["sent"] / 2)

    def test_a_replace_that_changes_its_sockets_loses_nobody(self):
        self.changes_its_sockets(False)

    def test_a_replace_that_changes_its_sockets_and_fails_brings_them_back(self):
        self.changes_its_sockets(True)

    def test_a_replace_that_is_undone_while_the_old_one_holds_a_dropped_socket_brings_that_back(self):
        """It was tried to be held while the old worker still had it open, and the old release started without it."""
        rollout = {"strategy": "replace", "drain_timeout": "%ds" % (20 * FACTOR)}
        go, other = os.path.join(self.folder, "go"), free_port()
        sockets = [tcp(), tcp("other", "127.0.0.1:%d" % other)]
        daemon = self.daemon({"web": worker("say=READY=1", "term-takes=" + go, sockets=sockets, rollout=rollout)})
        daemon.write("web", worker("say=READY=1", rollout=rollout))
        replacing = daemon.popen("apply")
        wait_for("the other to be closed", lambda: len(daemon.sockets("web")) == 1)
        undoing = daemon.popen("rollout", "undo", "web")
        daemon.wait_event("rolling-back", "web")
        with open(go, "w"):
            pass
        for command, status in ((replacing, 1), (undoing, 0)):
            command.communicate(timeout=20 * FACTOR)
            self.assertEqual(command.returncode, status)
        self.assertEqual([(w["generation"], w["state"]) for w in daemon.workers("web")], [(1, "ready")])
        self.assertEqual(http_get(other)[0], 200)

    def test_a_replace_that_is_undone_while_the_old_one_drains_starts_that_again(self):
        rollout = {"strategy": "replace", "drain_timeout": "%ds" % (10 * FACTOR)}
        go = os.path.join(self.folder, "go")
        daemon = self.daemon({"web": worker("say=READY=1", "term-takes=" + go, rollout=rollout)})
        old = daemon.pid_of("web")
        waiting = daemon.popen("restart", "web")
        daemon.wait_event("rollout-began", "web")
        undoing = daemon.popen("rollout", "undo", "web")
        daemon.wait_event("rolling-back", "web")
        with open(go, "w"):
            pass
        undoing.communicate(timeout=20 * FACTOR)
        waiting.communicate(timeout=20 * FACTOR)
        self.assertEqual((undoing.returncode, waiting.returncode), (0, 1))
        worker_now = daemon.workers("web")[0]
        self.assertEqual((worker_now["generation"], worker_now["state"]), (1, "ready"))
        self.assertNotEqual(worker_now["pid"], old)

    def test_a_start_of_a_bad_release_fails_and_says_why(self):
        daemon = self.daemon({"web": web(arguments=["--crash-at-start"], restart="no")}, active=False)
        daemon.wait_event("start-failed", "web")
        answer = daemon.run("start", "web")
        self.assert_says(answer, 1, "exit code 1")
        self.assertIn("exit code 1", daemon.unit("web")["problem"])

    def test_the_program_is_replaced_on_disk_by_a_broken_one_and_then_by_a_good_one(self):
        path = os.path.join(self.folder, "app")
        os.symlink(program("holdfast-webserver"), path)
        unit = unit_text([tcp()], {"type": "notify", "exec_start": [path], "timeout_start": "%ds" % (10 * FACTOR)})
        daemon = self.daemon({"web": unit})
        port, old = daemon.port("web"), daemon.pid_of("web")
        load = self.load(port, seconds=1.0)
        os.symlink("/nonexistent", path + ".new")
        os.rename(path + ".new", path)
        self.assert_says(daemon.run("restart", "web"), 1, path)
        self.assertEqual(daemon.pid_of("web"), old)
        os.symlink(program("holdfast-webserver"), path + ".new")
        os.rename(path + ".new", path)
        self.assert_says(daemon.run("restart", "web"), 0)
        self.assertNotEqual(daemon.pid_of("web"), old)
        self.assert_clean(load.finish(), least=50)


if __name__ == "__main__":
    main()
