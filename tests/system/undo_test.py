# SPDX-License-Identifier: Apache-2.0
"""`holdfast rollout undo`: the way back, while a rollout is under way and afterwards."""
import os
import shutil

from harness import FACTOR, Story, http_get, main, program, tcp, unit_text, wait_for, web

NO_PROBATION = {"probation": "0s", "drain_timeout": "%ds" % (10 * FACTOR)}


class Undo(Story):
    def release(self, daemon):
        return http_get(daemon.port("web"))[1].split("release=")[1].split()[0]

    def test_a_release_on_probation_is_undone(self):
        daemon = self.daemon({"web": web(release="1", rollout={"probation": "60s"})})
        daemon.write("web", web(release="2", rollout={"probation": "60s"}))
        apply = daemon.popen("apply")
        daemon.wait_event("took-over")
        answer = daemon.run("rollout", "undo", "web")
        self.assert_says(answer, 0, "it was undone", "generation 1 serves on")
        out, _ = apply.communicate(timeout=20)
        self.assertEqual(apply.returncode, 1, out)
        self.assertEqual(self.release(daemon), "1")
        wait_for("one", lambda: [w["generation"] for w in daemon.workers("web")] == [1])

    def test_a_release_that_does_not_come_up_is_undone(self):
        daemon = self.daemon({"web": web(release="1")})
        old = daemon.pid_of("web")
        daemon.write("web", web(arguments=["--never-ready"], release="2"))
        apply = daemon.popen("apply")
        daemon.wait_event("rollout-began")
        self.assert_says(daemon.run("rollout", "undo", "web", "-q"), 0, "generation 1 serves on")
        self.assertEqual(daemon.pid_of("web"), old)
        apply.communicate(timeout=20)
        self.assertEqual(apply.returncode, 1)

    def test_a_release_that_is_done_is_undone_and_the_undo_too(self):
        more = os.path.join(self.folder, "more.sock")
        daemon = self.daemon({"web": web(listen=["127.0.0.1:0", "unix:" + more], release="1", rollout=NO_PROBATION)})
        port = daemon.port("web", "http")
        daemon.write("web", web(listen=["127.0.0.1:0"], release="2", rollout=NO_PROBATION))
        self.assert_says(daemon.run("apply"), 0)
        self.assertFalse(os.path.exists(more))
        load = self.load(port)
        answer = daemon.run("rollout", "undo", "web", "--json")
        self.assertEqual(answer.status, 0, answer)
        self.assertEqual(answer.json["report"]["verdict"], "done")
        self.assertEqual(self.release(daemon), "1")
        self.assertEqual(http_get(more)[0], 200, "it has its sockets again")
        self.assertIn("restart", daemon.run("plan").out, "the file says something else")
        self.assert_says(daemon.run("rollout", "undo", "web"), 0)
        self.assertEqual(self.release(daemon), "2")
        self.assert_clean(load.finish(), least=100)
        self.assertNotIn("restart", daemon.run("plan").out)

    def test_the_program_that_was_replaced_on_disk_runs_again(self):
        path = os.path.join(self.folder, "app")
        shutil.copy(program("holdfast-webserver"), path)
        daemon = self.daemon({"web": unit_text([tcp()], {"type": "notify", "exec_start": [path], "timeout_start": "%ds" % (10 * FACTOR)},
                                               rollout=NO_PROBATION)})
        inode = os.stat("/proc/%d/exe" % daemon.pid_of("web")).st_ino
        shutil.copy(program("holdfast-webserver"), path + ".new")
        os.rename(path + ".new", path)
        self.assert_says(daemon.run("restart", "web"), 0)
        self.assertNotEqual(os.stat("/proc/%d/exe" % daemon.pid_of("web")).st_ino, inode)
        self.assert_says(daemon.run("rollout", "undo", "web"), 0)
        self.assertEqual(os.stat("/proc/%d/exe" % daemon.pid_of("web")).st_ino, inode)
        self.assertEqual(http_get(daemon.port("web"))[0], 200)

    def test_where_there_is_nothing_to_undo_it_says_so(self):
        daemon = self.daemon({"web": web()})
        self.assert_says(daemon.run("rollout", "undo", "web"), 1, "there is no earlier release to go back to")
        self.assert_says(daemon.run("stop", "web"), 0)
        self.assert_says(daemon.run("rollout", "undo", "web"), 1, "it does not run")
        self.assert_says(daemon.run("rollout", "undo", "wbe"), 4)

    def test_a_replace_that_fails_is_undone_already(self):
        rollout = {**NO_PROBATION, "strategy": "replace"}
        daemon = self.daemon({"web": web(release="1", rollout=rollout)})
        daemon.write("web", web(release="2", arguments=["--crash-at-start"], rollout=rollout))
        self.assert_says(daemon.run("apply"), 1)
        self.assertEqual(self.release(daemon), "1")
        self.assert_says(daemon.run("rollout", "undo", "web"), 1, "no earlier release")


if __name__ == "__main__":
    main()
