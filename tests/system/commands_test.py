# SPDX-License-Identifier: Apache-2.0
"""The command: what every verb says, ends with, and prints as JSON (DESIGN, 11)."""
import json
import os
import socket
import subprocess

from harness import NOBODY, FACTOR, Story, main, program, web, worker
from shape import Interface

BAD = "[service]\nexec_strat = ['/bin/true']\n"


class Commands(Story):
    def test_each_verb_prints_json_of_the_shape_in_the_interface(self):
        daemon = self.daemon({"web": web(), "down": web() + "[unit]\nstart_at_boot = false\n", "bad": BAD,
                              "busy": web("unix:/nonexistent/folder/x.sock")}, active=["web"])
        self.assert_says(daemon.run("restart", "web"), 0)
        interface = Interface(daemon.call("org.varlink.service.GetInterfaceDescription", interface="io.holdfast.Manager")["description"])
        self.assertGreater(len(interface.replies), 10)
        daemon.write("web", web(release="2"))
        daemon.write("new", web())
        cases = [("Status", 0, ["status"]), ("Status", 0, ["status", "web"]), ("Status", 3, ["status", "down"]), ("Status", 3, ["status", "bad"]),
                 ("List", 0, ["list"]), ("Sockets", 0, ["sockets"]), ("Sockets", 0, ["sockets", "web"]), ("Show", 0, ["show", "web"]),
                 ("Plan", 1, ["plan"]), ("Apply", 1, ["apply"]), ("Events", 0, ["events"]), ("Events", 0, ["events", "web"]), ("Trace", 0, ["trace", "web"]),
                 ("Start", 0, ["start", "web"]), ("Start", 1, ["start", "busy"]), ("Reload", 1, ["reload", "web"]), ("Restart", 0, ["restart", "web"]), ("Restart", 0, ["restart", "web", "--strategy", "replace"]),
                 ("Stop", 0, ["stop", "web"]), ("Start", 0, ["start", "web"])]
        for method, status, arguments in cases:
            with self.subTest(" ".join(arguments)):
                answer = daemon.run(*arguments, "--json")
                self.assertEqual(answer.status, status, answer)
                self.assertGreater(len(answer.values), 0)
                for value in answer.values:
                    self.assertEqual(value.pop("format"), 1)
                    if method == "Status" and len(arguments) == 2:
                        self.assertEqual([[type(unit.pop(name)) for name in ("log_lines", "next")] for unit in value["units"]], [[list, list]])
                    self.assertEqual(interface.reply_differences(method, value), [], answer)
                self.assertEqual(daemon.run("--json", *arguments).status, status)  # before the verb as well
        version = daemon.run("version", "--json").json
        self.assertEqual(version["daemon"]["pid"], daemon.pid)
        self.assertEqual(version["daemon"]["version"], version["command"]["version"])
        self.assertEqual(interface.reply_differences("Shutdown", {**daemon.run("shutdown", "--json").json, "format": None}),
                         ["Shutdown: unknown member format"])
        self.assertEqual(daemon.wait_end(), 0)

    def test_0_done(self):
        daemon = self.daemon({"web": web()})
        for verb in (["status"], ["list"], ["sockets"], ["show", "web"], ["plan"], ["apply"], ["events"], ["trace", "web"], ["version"], ["stop", "web"],
                     ["stop", "web"], ["start", "web"], ["start", "web"], ["restart", "web"], ["restart", "web", "-q"], ["--help"], ["restart", "--help"], ["--version"]):
            answer = daemon.run(*verb)
            self.assertEqual((answer.status, answer.err), (0, ""), answer)
            self.assertTrue(answer.out, verb)

    def test_one_setting_and_one_socket_are_picked(self):
        daemon = self.daemon({"web": web(workers=2)})
        self.assertEqual(daemon.run("show", "web", "--key", "workers").out, "service.workers = 2\n")
        self.assertEqual(daemon.run("show", "web", "--key", "service.workers", "--json").json["toml"], "service.workers = 2\n")
        self.assertEqual(daemon.run("show", "web", "--key", "socket.name").out, 'socket.name = "http"\n')
        self.assert_says(daemon.run("show", "web", "--key", "service.user"), 1, "is not set; default: the supervisor's")
        self.assert_says(daemon.run("show", "web", "--key", "wrkers"), 1, "did you mean `workers`?")
        self.assert_says(daemon.run("show", "web", "--key", "nice"), 1, "not supported yet")
        self.assertEqual(len(daemon.run("sockets", "--name", "http", "--json").json["sockets"]), 1)
        self.assert_says(daemon.run("sockets", "web", "--name", "htp"), 1, "there is no socket `htp`")

    def test_1_failed_and_why(self):
        daemon = self.daemon({"web": web(), "bad": BAD}, active=["web"])
        self.assert_says(daemon.run("start", "bad"), 1, "exec_strat", "did you mean `exec_start`")
        self.assert_says(daemon.run("apply"), 1, "exec_strat")
        for verb in ("cat", "kill", "signal", "logs", "top", "import", "enable", "disable", "mask",
                     "unmask", "metrics"):
            self.assert_says(daemon.run(verb, "web"), 1, "not supported yet")

    def test_2_usage(self):
        daemon = self.daemon({"web": web()})
        cases = {("statsu",): "did you mean `status`?", ("restrat", "web"): "did you mean `restart`?", (): "", ("restart",): "unit", ("show",): "unit",
                 ("restart", "web", "--strategy", "big-bang"): "overlap", ("status", "--nonsense"): "--nonsense", ("show", "a", "b"): "",
                 ("status", "web.toml"): "not its file", ("status", "../web"): "no unit name", ("--user", "--system", "list"): "exclude",
                 ("run", "--listen", "127.0.0.1:0"): "no program is given", ("run", "--", "/bin/true"): "--listen"}
        for arguments, words in cases.items():
            self.assert_says(daemon.run(*arguments), 2, words)

    def test_3_not_active(self):
        daemon = self.daemon({"web": web(), "down": web() + "[unit]\nstart_at_boot = false\n"}, active=["web"])
        self.assert_says(daemon.run("status", "down"), 3, "inactive")
        self.assert_says(daemon.run("status", "web", "down"), 3, "active", "inactive")
        self.assert_says(daemon.run("stop", "web"), 0)
        self.assert_says(daemon.run("status", "web"), 3)

    def test_4_no_such_unit(self):
        daemon = self.daemon({"web": web(), "storefront": web()})
        for verb in ("status", "start", "stop", "restart", "show", "trace", "sockets", "events"):
            self.assert_says(daemon.run(verb, "wbe"), 4, "there is no unit `wbe`", "did you mean `web`?")
        self.assert_says(daemon.run("status", "storefornt"), 4, "did you mean `storefront`?")
        self.assert_says(daemon.run("status", "completely-different"), 4, "`holdfast list` shows")
        self.assert_says(daemon.run("restart", "web", "wbe", "storefront"), 4, "web:", "storefront:")

    def test_5_not_permitted(self):
        self.needs_nobody()
        daemon = self.daemon({"web": web()})
        self.assert_says(daemon.run("status", uid=NOBODY), 5)  # the socket's mode does not let strangers in
        os.chmod(daemon.control_path, 0o666)  # an administrator who lets everybody look
        for verb in (["status"], ["status", "web"], ["list"], ["sockets"], ["plan"], ["events"]):
            self.assertEqual(daemon.run(*verb, uid=NOBODY).status, 0, verb)
        pid = daemon.pid_of("web")
        for verb in (["restart", "web"], ["stop", "web"], ["start", "web"], ["apply"], ["shutdown"]):
            self.assert_says(daemon.run(*verb, uid=NOBODY), 5, "only root")
        self.assertEqual(daemon.pid_of("web"), pid)

    def test_6_no_daemon(self):
        empty = os.path.join(self.folder, "empty")
        os.mkdir(empty)
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(os.path.join(self.folder, "control.sock"))
        for folder in (empty, "/nonexistent/place", self.folder):
            for verb in (["status"], ["restart", "web"], ["apply"], ["shutdown"]):
                done = subprocess.run([program("holdfast"), "--runtime-dir", folder, *verb], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
                self.assertEqual(done.returncode, 6, done.stdout)
                self.assertIn("holdfastd", done.stdout)
        done = subprocess.run([program("holdfast"), "--runtime-dir", empty, "version"], stdout=subprocess.PIPE, text=True, check=False)
        self.assertEqual(done.returncode, 0)

    def test_events_follow_shows_what_happens_and_ends_with_the_daemon(self):
        """With somebody following, the end of holdfastd freed the following twice."""
        daemon = self.daemon({"web": web(), "other": web()})
        follower, of_unit = daemon.popen("events", "--follow", "--json"), daemon.popen("events", "-f", "web")
        self.assertIn("events", json.loads(follower.stdout.readline()))
        of_unit.stdout.readline()
        self.assert_says(daemon.run("restart", "other"), 0)
        self.assert_says(daemon.run("restart", "web"), 0)
        self.assert_says(daemon.run("shutdown"), 0)
        out, _ = follower.communicate(timeout=20 * FACTOR)
        kinds = [(e["unit"], e["kind"]) for line in out.splitlines() for e in json.loads(line).get("events", [])]
        self.assertLess(kinds.index(("other", "rollout-done")), kinds.index(("web", "rollout-done")))
        self.assertIn(("web", "stopped"), kinds)
        out, _ = of_unit.communicate(timeout=20 * FACTOR)
        self.assertIn("rollout of generation 2 is done", out)
        self.assertNotIn("other", out)
        self.assertEqual(daemon.wait_end(), 0)

    def test_a_reader_that_goes_away_ends_events_follow(self):
        daemon = self.daemon({"web": web()})
        follower = daemon.popen("events", "--follow")
        follower.stdout.readline()
        follower.stdout.close()
        for _ in range(3):
            self.assert_says(daemon.run("restart", "web"), 0)
        follower.wait(20 * FACTOR)
        follower.stderr.close()

    def test_verify_needs_no_daemon(self):
        good, bad = os.path.join(self.folder, "good.toml"), os.path.join(self.folder, "bad.toml")
        for path, text in ((good, web()), (bad, BAD)):
            with open(path, "w") as file:
                file.write(text)
        def verify(*arguments):
            return subprocess.run([program("holdfast"), "verify", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual(verify(good).returncode, 0, verify(good).stdout)
        said = verify(good, bad)
        self.assertEqual(said.returncode, 1)
        for words in (bad + ":2:1: error: unknown key `exec_strat`", "^~~~", "did you mean `exec_start`"):
            self.assertIn(words, said.stdout)

    def test_a_command_that_is_interrupted_leaves_its_restart_going_on(self):
        daemon = self.daemon({"web": web()})
        daemon.write("web", web(arguments=["--boot-delay", "300ms"], release="2"))
        self.assert_says(daemon.run("apply"), 0)
        command = daemon.popen("restart", "web")
        daemon.wait_event("rollout-began", "web", where=lambda e: e["generation"] == 3)
        command.kill()
        command.communicate()
        daemon.wait_event("rollout-done", "web", where=lambda e: e["generation"] == 3)

    def test_what_a_worker_says_cannot_move_the_terminal(self):
        daemon = self.daemon({"web": worker("say=STATUS=a\x1b[2Jb\rc\u009bd\nREADY=1")})
        for verb in ("status", "list"):
            out = daemon.run(verb, "web").out if verb == "status" else daemon.run(verb).out
            self.assertEqual([c for c in out if ord(c) < 32 and c != "\n" or 127 <= ord(c) < 160], [], repr(out))


if __name__ == "__main__":
    main()
