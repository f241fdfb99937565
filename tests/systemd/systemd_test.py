# SPDX-License-Identifier: Apache-2.0
"""holdfast as a service of systemd: each test boots a machine of its own. Run as: systemd_test.py BUILD_FOLDER [Class.test]
Exit status 77, with "skipped: why", where no container can be booted."""
import json
import os
import signal

from machine import FACTOR, state_of, wait_for
from story import UNITS, Story, drop_in, installed_exec_start, installed_unit, listener_inode, listener_inodes, main, open_files, status_fields
from workload import shell, web


class UnderSystemd(Story):
    # ---- start, and what is seen of it ----

    def test_systemctl_start_returns_when_the_sockets_are_held(self):
        machine = self.machine({"web": web()}, start=False)
        machine.done("systemctl", "start", "holdfast")
        self.assertEqual(self.release(machine), "1", "a connection at that moment is served")
        self.assertEqual(machine.shown("ActiveState"), "active")
        self.assertEqual(machine.shown("StatusText"), "1 unit")
        self.wait_units(machine)
        self.assertIn("web", machine.done("holdfast", "status"))
        self.assertEqual(sorted(machine.processes().values()), ["holdfast-keeper", "holdfast-webserver", "holdfastd"])
        self.assertEqual(machine.pid_of("holdfast-keeper"), self.main_process(machine))

    def main_process(self, machine):
        """Pid here of what systemd takes for the main process."""
        inside = machine.shown("MainPID")
        for pid in machine.processes():
            if status_fields(pid)["NSpid"].split()[-1] == inside:
                return pid
        return None

    def test_it_comes_with_the_machine_once_it_is_enabled(self):
        machine = self.machine({"web": web()}, start=False, files={
            "/etc/systemd/system/multi-user.target.wants/holdfast.service": (installed_unit(),)})
        wait_for("holdfast.service", lambda: machine.shown("ActiveState") == "active")
        self.wait_units(machine)
        self.assertEqual(self.release(machine), "1")
        self.assertEqual(machine.power_off(), 0)

    def test_the_journal_has_the_lines_of_holdfastd_and_of_its_workers_under_their_names(self):
        machine = self.machine({"web": web(), "loud": shell("echo from the worker; echo and its errors >&2; exec sleep 1000")})
        wait_for("its line", lambda: any(entry["MESSAGE"] == "and its errors" for entry in machine.journal()))
        entries = [(entry.get("SYSLOG_IDENTIFIER"), entry["MESSAGE"]) for entry in machine.journal()]
        self.assertIn(("loud", "from the worker"), entries)
        self.assertIn(("loud", "and its errors"), entries)
        self.assertTrue(any(name == "holdfastd" and "is ready with 2 units" in text for name, text in entries), entries)

    def test_the_journal_knows_whose_the_last_words_of_a_process_are(self):
        """journald looks a process up when it reads its line, and then it may have ended: such lines were in no `journalctl -u holdfast`."""
        machine = self.machine({"brief": shell("for i in $(seq 200); do /bin/echo word $i; done; exec sleep 1000")})
        wait_for("all of them", lambda: len([entry for entry in machine.journal() if entry["MESSAGE"].startswith("word ")]) == 200)

    def test_status_shows_the_last_lines_of_a_worker_and_of_nobody_who_takes_its_name(self):
        machine = self.machine({"talker": shell("echo one; echo two; exec sleep 1000")})
        machine.done("systemd-cat", "-t", "talker", "echo", "three")
        machine.done("journalctl", "--sync")
        self.assertIn("three", machine.done("journalctl", "-t", "talker"))
        said = machine.done("holdfast", "status", "talker")
        self.assertIn("LAST LINES OF ITS LOG\n  one\n  two\n\n", said)
        self.assertNotIn("three", said)

    def test_a_loud_worker_does_not_silence_the_others(self):
        """journald drops what a service of systemd says beyond so many lines in 30 s, and to it all workers are one."""
        machine = self.machine({"loud": shell("seq 10000; echo > /run/go; exec sleep 1000"),
                                "quiet": shell("until test -e /run/go; do sleep 0.05; done; echo a word; exec sleep 1000")},
                               files={"/etc/systemd/journald.conf.d/test.conf": "[Journal]\nRateLimitBurst=500\n"})
        wait_for("its word", lambda: [entry["MESSAGE"] for entry in machine.journal("--identifier=quiet")] == ["a word"])
        self.assertEqual(len(machine.journal("--identifier=loud")), 10000)

    def test_a_worker_cannot_speak_to_systemd_as_holdfast(self):
        script = """export NOTIFY_SOCKET=/run/systemd/notify
            for word in STATUS=bad WATCHDOG=trigger STOPPING=1; do systemd-notify $word; done; echo said; exec sleep 1000"""
        machine = self.machine({"bad": shell(script, 'user = "nobody"\n')})
        wait_for("it to have tried", lambda: any(entry["MESSAGE"] == "said" for entry in machine.journal()))
        machine.done("systemctl", "daemon-reload")  # what was sent before has been read then
        self.assertEqual((machine.shown("SubState"), machine.shown("NRestarts"), machine.shown("StatusText")), ("running", "0", "1 unit"))

    def test_services_inherit_no_sandbox_from_the_unit(self):
        machine = self.machine({"web": web()})
        systemd, worker = status_fields(machine.leader), status_fields(machine.pid_of("holdfast-webserver"))
        for field in ("NoNewPrivs", "Seccomp", "Seccomp_filters", "CapBnd", "mnt", "net"):
            self.assertEqual(worker.get(field), systemd.get(field), field)
        self.assertEqual(worker["Umask"], "0022")

    def test_workers_have_the_soft_limit_of_open_files_and_holdfastd_the_hard_one(self):
        machine = self.machine({"web": web()})
        soft, hard = open_files(machine.pid_of("holdfastd"))
        self.assertEqual(soft, hard)
        self.assertEqual(open_files(machine.pid_of("holdfast-webserver")), (1024, hard))

    # ---- reload ----

    def test_systemctl_reload_returns_when_the_new_release_serves(self):
        machine = self.machine({"web": web()})
        load = self.load(machine)
        machine.write(UNITS + "web.toml", web("2"))
        machine.done("systemctl", "reload", "holdfast")
        self.assertEqual(self.release(machine), "2")
        self.assert_nobody_failed(load)

    def test_systemctl_reload_fails_with_a_bad_unit_file_and_everything_goes_on(self):
        machine = self.machine({"web": web()})
        machine.write(UNITS + "web.toml", web("2").replace("probation", "probaton"))
        self.assertNotEqual(machine.run("systemctl", "reload", "holdfast").status, 0)
        self.assertEqual(machine.shown("ActiveState"), "active")
        self.assertEqual(self.release(machine), "1")
        self.assertTrue(any("probaton" in entry["MESSAGE"] for entry in machine.journal()), "and the journal says why")

    def test_a_hangup_of_the_main_process_reloads_too(self):
        machine = self.machine({"web": web()})
        machine.write(UNITS + "web.toml", web("2"))
        machine.done("systemctl", "kill", "--signal=HUP", "--kill-who=main", "holdfast")
        wait_for("the new release", lambda: self.release(machine) == "2")
        self.assertEqual(machine.shown("ActiveState"), "active")

    def test_systemctl_daemon_reexec_is_not_noticed(self):
        machine = self.machine({"web": web()})
        load, workers = self.load(machine), self.workers(machine)
        machine.done("systemctl", "daemon-reexec")
        machine.done("systemctl", "reload", "holdfast")
        self.assert_nobody_failed(load, least=0)
        self.assertEqual(self.workers(machine), workers)

    # ---- it dies ----

    def test_systemctl_restart_under_load_refuses_nobody(self):
        machine = self.machine({"web": web()})
        load, before = self.load(machine), listener_inode(machine)
        for _ in range(3):
            machine.done("systemctl", "restart", "holdfast")
        self.wait_units(machine)
        self.assertEqual(listener_inode(machine), before, "it is the very socket")
        self.assert_nobody_failed(load)
        self.assertEqual(machine.shown("NRestarts"), "0")

    def test_systemctl_restart_under_load_refuses_nobody_at_a_unix_path(self):
        machine = self.machine({"web": web(listen="unix:/run/web.sock")})
        load = self.load(machine, "/run/web.sock")
        for _ in range(3):
            machine.done("systemctl", "restart", "holdfast")
        self.wait_units(machine)
        self.assert_nobody_failed(load)

    def test_systemctl_restart_under_load_refuses_nobody_with_a_listener_for_each_worker(self):
        sharded = web().replace('name = "http"', 'name = "http"\nreuse_port = true').replace("[service]", "[service]\nworkers = 2")
        machine = self.machine({"web": sharded})
        load, before = self.load(machine), listener_inodes(machine)
        self.assertGreaterEqual(len(before), 4)
        for _ in range(3):
            machine.done("systemctl", "restart", "holdfast")
        self.wait_units(machine)
        self.assertEqual(listener_inodes(machine), before)
        self.assert_nobody_failed(load)

    def test_a_restart_with_other_unit_files_holds_what_they_list(self):
        machine = self.machine({"web": web(), "old": web(listen="8081"), "bad": web(listen="8082")})
        before = [listener_inode(machine, port) for port in (8080, 8081, 8082)]
        machine.write(UNITS + "web.toml", web("2", listen="8080") + '[[socket]]\nname = "more"\nlisten = "8083"\n')
        os.unlink(machine.path(UNITS + "old.toml"))
        machine.write(UNITS + "bad.toml", web(listen="8082").replace("probation", "probaton"))
        machine.done("systemctl", "restart", "holdfast")
        wait_for("the removed one to be closed", lambda: listener_inode(machine, 8081) is None)
        self.assertEqual(self.release(machine), "2")
        self.assertEqual([listener_inode(machine, port) for port in (8080, 8082)], [before[0], before[2]], "also that of a bad file is held")
        self.assertIsNotNone(listener_inode(machine, 8083))
        machine.write(UNITS + "bad.toml", web(listen="8082"))
        machine.done("systemctl", "reload", "holdfast")
        self.wait_units(machine)
        self.assertEqual(listener_inode(machine, 8082), before[2])
        self.assertEqual(json.loads(machine.done("python3", "/opt/client.py", "8082", "--once"))["failed"], 0)

    def test_without_a_store_a_restart_begins_anew(self):
        machine = self.machine({"web": web(), "path": web(listen="unix:/run/web.sock")}, files=drop_in("FileDescriptorStoreMax=0"))
        before = listener_inode(machine)
        machine.done("systemctl", "restart", "holdfast")
        self.wait_units(machine)
        self.assertNotEqual(listener_inode(machine), before)
        self.assertEqual(self.release(machine), "1")
        refusals = [entry["MESSAGE"] for entry in machine.journal() if "FileDescriptorStoreMax" in entry["MESSAGE"]]
        self.assertEqual(len(refusals), 2, "it asks once a start")
        machine.done("systemctl", "stop", "holdfast")
        self.assertFalse(machine.exists("/run/web.sock"))

    def test_a_listener_that_is_no_longer_wanted_is_not_kept_by_systemd(self):
        machine = self.machine({"web": web(), "other": web(listen="8081")})
        kept = int(machine.shown("NFileDescriptorStore"))
        self.assertGreaterEqual(kept, 2)
        os.unlink(machine.path(UNITS + "other.toml"))
        machine.done("systemctl", "reload", "holdfast")
        wait_for("systemd to let it go", lambda: int(machine.shown("NFileDescriptorStore")) < kept)
        self.assertIsNone(listener_inode(machine, 8081))

    def test_a_killed_holdfastd_costs_nobody_under_load(self):
        machine = self.machine({"web": web()})
        load, workers = self.load(machine), self.workers(machine)
        for _ in range(3):
            killed = machine.pid_of("holdfastd")
            os.kill(killed, signal.SIGKILL)
            wait_for("the next holdfastd", lambda k=killed: machine.pid_of("holdfastd") not in (None, k))
            self.wait_units(machine)
        self.assertEqual(self.workers(machine), workers, "they go on")
        self.assert_nobody_failed(load)
        self.assertEqual(machine.shown("NRestarts"), "0", "systemd saw nothing of it")

    def killed_keeper(self, machine):
        """Killed, and all is there again."""
        before, workers = machine.processes(), self.workers(machine)
        os.kill(machine.pid_of("holdfast-keeper"), signal.SIGKILL)
        wait_for("the next keeper", lambda: machine.shown("NRestarts") == "1" and machine.shown("ActiveState") == "active")
        self.wait_units(machine)
        self.assertFalse(set(self.workers(machine)) & set(workers))
        for pid in before:
            self.assertIn(state_of(pid), (None, "Z"), before[pid])
        self.assertEqual(self.release(machine), "1")

    def test_after_a_killed_keeper_everything_is_started_anew(self):
        self.killed_keeper(self.machine({"web": web()}))

    def test_after_a_killed_keeper_the_listeners_are_those_of_before(self):
        machine = self.machine({"web": web()})
        load, before = self.load(machine), listener_inode(machine)
        self.killed_keeper(machine)
        self.assertEqual(listener_inode(machine), before)
        done = load.finish()
        self.assertEqual([what for what in done["failures"] if "Refused" in what], [], done)
        self.assertLessEqual(done["failed"], 8, "only what the killed worker was at, of 8 clients")

    def test_a_program_that_cannot_start_is_told_and_tried_again(self):
        machine = self.machine({}, start=False, files=drop_in("RestartSec=50ms", "RuntimeDirectory="))
        machine.done("rmdir", "/run/holdfast")  # of tmpfiles.d
        machine.write("/run/holdfast", "a file where the folder should be")
        self.assertNotEqual(machine.run("systemctl", "start", "holdfast").status, 0)
        wait_for("some more starts than systemd's limit", lambda: int(machine.shown("NRestarts")) > 6)
        os.unlink(machine.path("/run/holdfast"))
        wait_for("it to start by itself", lambda: machine.shown("ActiveState") == "active")

    def test_a_wrong_command_line_is_not_tried_again(self):
        machine = self.machine(start=False, files=drop_in("ExecStart=", "ExecStart=" + installed_exec_start() + " --no-such-option"))
        self.assertNotEqual(machine.run("systemctl", "start", "holdfast").status, 0)
        self.assertEqual((machine.shown("ActiveState"), machine.shown("ExecMainStatus"), machine.shown("NRestarts")), ("failed", "2", "0"))

    def test_bad_settings_are_not_tried_again_unless_clients_wait(self):
        bad = {"/etc/holdfast/holdfast.toml": "[daemon]\nlog_leve = \"info\"\n"}
        machine = self.machine({"web": web()}, start=False, files=bad)
        self.assertNotEqual(machine.run("systemctl", "start", "holdfast").status, 0)
        self.assertEqual((machine.shown("ActiveState"), machine.shown("ExecMainStatus"), machine.shown("NRestarts")), ("failed", "78", "0"))
        self.assertTrue(any("unknown key `log_leve`" in entry["MESSAGE"] for entry in machine.journal()))
        machine.write("/etc/holdfast/holdfast.toml", "")
        machine.done("systemctl", "start", "holdfast")
        self.wait_units(machine)
        load, before = self.load(machine), listener_inode(machine)
        machine.write("/etc/holdfast/holdfast.toml", bad["/etc/holdfast/holdfast.toml"])
        machine.done("systemctl", "restart", "holdfast")
        self.wait_units(machine)
        self.assertEqual(listener_inode(machine), before)
        self.assert_nobody_failed(load)
        self.assertEqual(sum("unknown key `log_leve`" in entry["MESSAGE"] for entry in machine.journal()), 2)

    # ---- sockets of others ----

    def test_a_unit_uses_the_sockets_of_a_socket_unit(self):
        socket_unit = "[Socket]\nListenStream=8080\nListenStream=8081\nFileDescriptorName=http\nService=holdfast.service\n"
        machine = self.machine({"web": web(listen="inherit:http"), "other": web(listen="inherit:other")}, start=False,
                               files={"/etc/systemd/system/web.socket": socket_unit})
        machine.done("systemctl", "start", "web.socket")
        before = listener_inode(machine), listener_inode(machine, 8081)
        self.assertEqual(self.release(machine), "1", "the connection starts holdfast")
        self.assertEqual(json.loads(machine.done("python3", "/opt/client.py", "8081", "--once"))["failed"], 0)
        self.assertIn("no socket of that name was passed", machine.run("holdfast", "status", "other").out)
        load = self.load(machine)
        machine.done("systemctl", "restart", "holdfast")
        os.kill(wait_for("holdfastd", lambda: machine.pid_of("holdfastd")), signal.SIGKILL)
        wait_for("the next holdfastd", lambda: machine.run("holdfast", "status", "web").status == 0)
        self.assert_nobody_failed(load)
        self.assertEqual((listener_inode(machine), listener_inode(machine, 8081)), before)
        machine.done("systemctl", "stop", "web.socket", "holdfast")
        self.assertIsNone(listener_inode(machine))

    # ---- watchdog ----

    def wait_pings(self, machine, count):
        seen = set()

        def are_enough():
            seen.add(machine.shown("WatchdogTimestampMonotonic"))
            return len(seen) > count
        wait_for("%d pings" % count, are_enough)

    def test_the_watchdog_is_fed(self):
        """holdfastd took it for its parent's affair, whom WATCHDOG_PID names: no ping came, and systemd ended all of it each minute."""
        machine = self.machine({"web": web()}, files=drop_in("WatchdogSec=2s"))
        self.wait_pings(machine, 2)
        self.assertEqual(machine.shown("NRestarts"), "0")

    def test_a_holdfastd_that_the_keeper_started_again_feeds_the_watchdog(self):
        machine = self.machine(files=drop_in("WatchdogSec=2s"))
        os.kill(machine.pid_of("holdfastd"), signal.SIGKILL)
        self.wait_pings(machine, 2)
        self.assertEqual(machine.shown("NRestarts"), "0")

    def test_a_holdfastd_that_stands_still_is_killed_and_costs_no_worker(self):
        """systemd's watchdog ended all of it."""
        machine = self.machine({"web": web()}, files=drop_in("WatchdogSec=%ds" % (4 * FACTOR)))
        load, workers, still = self.load(machine), self.workers(machine), machine.pid_of("holdfastd")
        os.kill(still, signal.SIGSTOP)
        wait_for("the next holdfastd", lambda: machine.pid_of("holdfastd") not in (None, still))
        self.wait_units(machine)
        self.wait_pings(machine, 3)
        self.assert_nobody_failed(load)
        self.assertEqual(self.workers(machine), workers)
        self.assertEqual(machine.shown("NRestarts"), "0")

    def test_a_keeper_that_stands_still_too_is_begun_anew(self):
        machine = self.machine({"web": web()}, files=drop_in("WatchdogSec=2s"))
        for program in ("holdfast-keeper", "holdfastd"):
            os.kill(machine.pid_of(program), signal.SIGSTOP)
        wait_for("systemd to miss it", lambda: machine.shown("NRestarts") == "1" and machine.shown("ActiveState") == "active")
        self.wait_units(machine)
        self.assertEqual(self.release(machine), "1")

    # ---- the end ----

    def test_systemctl_stop_leaves_no_process_no_cgroup_no_socket_and_no_path_behind(self):
        machine = self.machine({
            "web": web(), "path": web(listen="unix:/run/web.sock"),
            "family": shell("sleep 1000 & trap '' TERM; while :; do sleep 0.1; done", 'timeout_stop = "1s"'),
            "stranger": shell("setsid sleep 1000 & exec sleep 1000")})
        wait_for("all processes", lambda: len(machine.processes()) >= 8)
        processes, group = machine.processes(), machine.shown("ControlGroup")
        load = self.load(machine)
        machine.done("systemctl", "stop", "holdfast")
        load.finish()
        self.assertEqual((machine.shown("ActiveState"), machine.shown("Result")), ("inactive", "success"))
        for pid in processes:
            self.assertIsNone(state_of(pid), processes[pid])
        self.assertFalse([path for path, _, _ in os.walk(machine.cgroup) if path.endswith(group)])
        self.assertIsNone(listener_inode(machine))
        self.assertFalse(machine.exists("/run/web.sock"))
        self.assertLessEqual(set(os.listdir(machine.path("/run/holdfast"))), {"lock"})
        self.assertEqual(machine.run("holdfast", "status").status, 6)

    def test_systemctl_stop_waits_for_a_drain_longer_than_the_keepers_patience_and_its_own(self):
        command = installed_exec_start().replace("holdfast-keeper", "holdfast-keeper --stop-timeout 1s")
        slow = "trap 'sleep 3; echo drained; exit 0' TERM; while :; do sleep 0.1; done"
        machine = self.machine({"slow": shell(slow)}, files=drop_in("ExecStart=", "ExecStart=" + command, "TimeoutStopSec=1s"))
        machine.done("systemctl", "stop", "holdfast")
        self.assertEqual(machine.shown("Result"), "success")
        self.assertIn("drained", [entry["MESSAGE"] for entry in machine.journal()])

    def test_while_systemd_is_asked_whether_it_is_a_stop_nothing_is_begun(self):
        machine = self.machine({"slow": shell("trap 'echo drained; exit 0' TERM; while :; do sleep 0.1; done")})
        holdfastd = machine.pid_of("holdfastd")
        os.kill(machine.leader, signal.SIGSTOP)  # it does not answer
        try:
            os.kill(holdfastd, signal.SIGTERM)
            for verb in (("upgrade",), ("restart", "slow"), ("apply",)):
                answer = machine.run("holdfast", *verb)
                self.assertNotEqual(answer.status, 0, answer)
                self.assertIn("shutting down", answer.out + answer.err)
        finally:
            os.kill(machine.leader, signal.SIGCONT)
        wait_for("its end", lambda: machine.shown("ActiveState") == "inactive")
        self.assertEqual(machine.shown("Result"), "success")
        self.assertIn("drained", [entry["MESSAGE"] for entry in machine.journal()])

    def test_unit_files_of_the_runtime_folder_outlive_a_stop(self):
        machine = self.machine({}, start=False)
        machine.write("/run/holdfast/units/web.toml", web())
        machine.done("systemctl", "start", "holdfast")
        self.wait_units(machine)
        machine.done("systemctl", "stop", "holdfast")
        self.assertTrue(machine.exists("/run/holdfast/units/web.toml"))
        machine.done("systemctl", "start", "holdfast")
        self.assertEqual(self.release(machine), "1")

    def test_holdfast_shutdown_is_an_end_that_systemd_takes_for_one(self):
        machine = self.machine({"web": web()})
        machine.done("holdfast", "shutdown")
        wait_for("its end", lambda: machine.shown("ActiveState") == "inactive")
        self.assertEqual((machine.shown("Result"), machine.shown("NRestarts")), ("success", "0"))

    # ---- an ordinary user ----

    def alice(self):
        """A machine where she has holdfast; and what she says before `systemctl` and `holdfast` verbs."""
        machine = self.machine(start=False, whole=True)
        machine.done("useradd", "--create-home", "--shell", "/bin/sh", "alice")
        machine.write("/home/alice/.config/holdfast/units/web.toml", web())
        machine.done("chown", "-R", "alice:", "/home/alice")
        machine.done("systemd-run", "--quiet", "--wait", "loginctl", "enable-linger", "alice")  # logind 257 does not know who comes by nsenter
        systemctl = ("systemctl", "--user", "--machine=alice@")
        wait_for("her systemd", lambda: machine.run(*systemctl, "is-system-running").status == 0)
        machine.done(*systemctl, "start", "holdfast")
        runtime = "/run/user/" + machine.done("id", "-u", "alice").strip()
        holdfast = ("setpriv", "--reuid=alice", "--regid=alice", "--clear-groups", "env", "XDG_RUNTIME_DIR=" + runtime, "HOME=/home/alice",
                    "holdfast", "--user")
        self.wait_alice(machine, holdfast)
        return machine, systemctl, holdfast, runtime

    def wait_alice(self, machine, holdfast):
        wait_for("her unit", lambda: '"active"' in machine.run(*holdfast, "list", "--json").out)

    def test_a_user_has_holdfast_by_systemctl_user(self):
        machine, systemctl, holdfast, runtime = self.alice()
        self.assertEqual(self.release(machine), "1")
        server = machine.done("pgrep", "--euid", "alice", "--full", "^/opt/holdfast-webserver")
        machine.done("pkill", "--signal", "KILL", "--euid", "alice", "--exact", "holdfastd")
        self.wait_alice(machine, holdfast)
        self.assertEqual(machine.done("pgrep", "--euid", "alice", "--full", "^/opt/holdfast-webserver"), server)
        machine.write("/home/alice/.config/holdfast/units/web.toml", web("2"))
        machine.done(*systemctl, "reload", "holdfast")
        self.assertEqual(self.release(machine), "2")
        machine.done(*systemctl, "stop", "holdfast")
        self.assertEqual(machine.done(*systemctl, "show", "--property=Result", "--value", "holdfast").strip(), "success")
        self.assertIsNone(listener_inode(machine))
        self.assertLessEqual(set(os.listdir(machine.path(runtime + "/holdfast"))), {"lock"})

    def test_workers_of_a_user_do_not_get_what_systemd_says_to_holdfast_alone(self):
        machine = self.alice()[0]
        server = machine.done("pgrep", "--euid", "alice", "--full", "^/opt/holdfast-webserver").strip()
        names = {line.partition("=")[0] for line in machine.done("cat", "/proc/%s/environ" % server).split("\0")}
        self.assertEqual(names & {"INVOCATION_ID", "JOURNAL_STREAM", "MANAGERPID", "SYSTEMD_EXEC_PID", "HOLDFAST_KEEPER", "WATCHDOG_USEC"}, set())
        self.assertIn("XDG_RUNTIME_DIR", names)


if __name__ == "__main__":
    main()
