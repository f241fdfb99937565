# SPDX-License-Identifier: Apache-2.0
"""holdfast.toml: the daemon's own settings, at the start, by an apply, by an upgrade and after a crash."""
import os
import stat
import subprocess

from harness import DEADLINE, Story, connect, main, program, tcp, unit_text, wait_for, web


class Config(Story):
    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.folder, "holdfast.toml")

    def configure(self, text):
        with open(self.path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(self.path + ".new", self.path)

    def configured(self, units, text, options=(), keeper=False):
        self.configure(text)
        wrapper = (program("holdfast-keeper"), "--ready-timeout", "%ds" % DEADLINE, "--") if keeper else ()
        return self.daemon(units, options=("--foreground", "--config", self.path, *options), wrapper=wrapper)

    def own_units(self):
        """A folder with the unit db."""
        folder = os.path.join(self.folder, "units of its own")
        os.mkdir(folder)
        with open(os.path.join(folder, "db.toml"), "w", encoding="utf-8") as file:
            file.write(web())
        return folder

    def mode_of(self, daemon):
        return stat.S_IMODE(os.stat(daemon.control_path).st_mode)

    def test_the_file_says_what_the_command_line_leaves_open(self):
        self.configure("[daemon]\nunit_dirs = [\"%s\"]\nlog_level = \"warning\"\n[control]\nmode = \"0600\"\n" % self.own_units())
        daemon = self.daemon(options=("--foreground", "--config", self.path), unit_folder=False)
        daemon.wait_whole("db")
        self.assertEqual(self.mode_of(daemon), 0o600)
        self.assert_says(daemon.run("restart", "db"), 0)
        self.assertEqual(daemon.log_text(), "")

    def test_an_option_wins_over_the_file(self):
        daemon = self.configured({"web": web()}, "[daemon]\nunit_dirs = [\"/nonexistent\"]\nlog_level = \"warning\"\n", ["--verbose"])
        daemon.wait_log("is ready with 1 unit")
        self.assert_says(daemon.run("plan"), 0)

    def test_with_an_error_it_does_not_start_and_says_where(self):
        self.configure("[daemon]\nlog_leve = \"info\"\n[metrics]\nlisten = \"127.0.0.1:9100\"\n")
        ended = subprocess.run([program("holdfastd"), "--config", self.path, "--unit-dir", self.folder, "--runtime-dir", self.folder + "/run"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=DEADLINE, check=False)
        self.assertEqual(ended.returncode, 78)
        for words in ("holdfast.toml:2:1: error: unknown key `log_leve`", "did you mean `log_level`?", "holdfast.toml:4:1:", "not supported yet"):
            self.assertIn(words, ended.stderr)
        named = subprocess.run([program("holdfastd"), "--config", "/nonexistent.toml"], stderr=subprocess.PIPE, text=True,
                               timeout=DEADLINE, check=False)
        self.assertEqual(named.returncode, 78)
        self.assertIn("/nonexistent.toml", named.stderr)

    def test_apply_takes_over_what_can_be_and_names_what_takes_an_upgrade(self):
        accepting = unit_text([tcp(non_blocking=False)], {"exec_start": ["/bin/cat"], "accept": True, "handoff": "inetd", "restart": "no"})
        accepting = accepting.replace("[rollout]\nprobation = \"0s\"\n", "")
        self.configure("[daemon]\nlog_level = \"warning\"\n")
        daemon = self.daemon({"echo": accepting}, options=("--foreground", "--config", self.path), active=())
        self.configure("[daemon]\nlog_level = \"debug\"\n[limits]\nmax_connections = 1\n[control]\nmode = \"0666\"\n")
        self.assert_says(daemon.run("plan"), 0, "control.mode", "holdfast upgrade")
        self.assertEqual(daemon.log_text(), "")
        self.assert_says(daemon.run("apply"), 0, "control.mode", "holdfast upgrade")
        self.assertNotEqual(self.mode_of(daemon), 0o666)
        with connect(daemon.port("echo")) as first, connect(daemon.port("echo")) as second:
            wait_for("one to be served and one to wait", lambda: daemon.unit("echo")["connections"]["live"] == 1 and
                     daemon.sockets("echo")[0]["queue"] == 1)
            first.close()
            second.sendall(b"x")
            self.assertEqual(second.recv(1), b"x")
        self.assert_says(daemon.run("stop", "echo"), 0)
        daemon.wait_log("info: echo")
        self.assert_says(daemon.run("apply"), 0, "control.mode")  # until it is done

    def test_no_upgrade_is_advised_for_what_the_command_line_decides(self):
        daemon = self.configured({"web": web()}, "")
        self.configure("[daemon]\nunit_dirs = [\"/elsewhere\"]\nlog_dir = \"/elsewhere\"\n")
        answer = daemon.run("plan")
        self.assert_says(answer, 0)
        self.assertNotIn("upgrade", answer.out + answer.err)

    def test_an_error_stops_no_unit_and_changes_no_setting(self):
        daemon = self.configured({"web": web()}, "[daemon]\nlog_level = \"warning\"\n")
        self.configure("[daemon]\nlog_level = \"loud\"\n")
        daemon.write("db", web())
        self.assert_says(daemon.run("apply"), 1, "holdfast.toml:2:13: error", "`loud`")
        daemon.wait_whole("db")
        self.assertNotIn("info:", daemon.log_text())

    def test_an_upgrade_takes_the_rest_and_one_that_cannot_read_it_leaves_the_previous_in_charge(self):
        daemon = self.configured({"web": web()}, "", keeper=True)
        pid = daemon.pid_of("web")
        self.configure("[control]\nmode = \"0666\"\n")
        self.assert_says(daemon.run("upgrade"), 0)
        wait_for("its mode", lambda: self.mode_of(daemon) == 0o666)
        self.configure("[control]\nmode = \"0999\"\n")
        self.assert_says(daemon.run("upgrade"), 1, "goes on in charge")
        self.assertEqual(daemon.pid_of("web"), pid)
        self.assert_says(daemon.run("plan"), 1, "holdfast.toml:2:8: error")

    def test_who_comes_after_a_crash_has_the_settings_of_the_one_before(self):
        """A file that could not be read gave up all units and opened the control socket to others."""
        self.configure("[daemon]\nunit_dirs = [\"%s\"]\n[control]\nmode = \"0600\"\n" % self.own_units())
        daemon = self.daemon(options=("--foreground", "--config", self.path), unit_folder=False,
                             wrapper=(program("holdfast-keeper"), "--ready-timeout", "%ds" % DEADLINE, "--"))
        daemon.wait_whole("db")
        pid = daemon.pid_of("db")

        def assert_as_it_was():
            self.assertEqual((daemon.pid_of("db"), daemon.unit("db")["state"], self.mode_of(daemon)), (pid, "active", 0o600))
        for text in ("garbage", "[daemon]\nunit_dirs = [\"/nonexistent\"]\n[control]\nmode = \"0666\"\n"):
            self.configure(text)
            for _ in range(2):
                self.kill(daemon)
                assert_as_it_was()
        daemon.wait_log("holdfast.toml:1:8: error")
        self.configure("garbage")
        self.assert_says(daemon.run("upgrade"), 1, "goes on in charge")
        assert_as_it_was()

    def test_after_a_crash_a_folder_that_is_not_there_takes_no_unit_with_it(self):
        folder = self.own_units()
        daemon = self.daemon(options=("--foreground", "--unit-dir", folder), unit_folder=False, wrapper=(program("holdfast-keeper"), "--"))
        daemon.wait_whole("db")
        pid = daemon.pid_of("db")
        os.rename(folder, folder + ".away")
        self.kill(daemon)
        self.assertEqual((daemon.pid_of("db"), daemon.unit("db")["state"]), (pid, "active"))
        os.rename(folder + ".away", folder)
        self.assert_says(daemon.run("apply"), 0)
        self.assertEqual(daemon.pid_of("db"), pid)

    def test_after_a_crash_a_log_folder_that_cannot_be_used_is_done_without(self):
        """No holdfastd came up any more."""
        if os.path.exists("/run/systemd/journal/stdout"):
            self.skip("there is a journal, and no log folder")
        logs = os.path.join(self.folder, "logs")
        self.configure("[daemon]\nlog_dir = \"%s\"\n" % logs)
        daemon = self.daemon({"web": web()}, options=("--config", self.path), wrapper=(program("holdfast-keeper"), "--"))
        pid = daemon.pid_of("web")
        self.assertEqual(daemon.unit("web")["output"], "file")
        os.rename(logs, logs + ".away")
        with open(logs, "w", encoding="utf-8"):
            pass
        self.kill(daemon)
        self.assertEqual((daemon.pid_of("web"), daemon.unit("web")["output"]), (pid, "through"))
        daemon.wait_log("the workers' output goes through meanwhile")
        self.assert_says(daemon.run("restart", "web"), 0)


if __name__ == "__main__":
    main()
