# SPDX-License-Identifier: Apache-2.0
"""What a holdfastd that comes after one that was killed has to take over, case by case (promise P3)."""
import os
import resource
import shutil
import signal
import socket

from common import free_port
from harness import FACTOR, Story, children_of, command_of, has_ended, http_get, main, program, read_answer, state_of, tcp, unit_text, wait_for, web, worker

NO_PROBATION = {"probation": "0s", "drain_timeout": "%ds" % (10 * FACTOR)}


class Successor(Story):
    def kept(self, units, before=(), **more):
        """`before`: what runs the keeper."""
        return self.daemon(units, wrapper=(*before, program("holdfast-keeper"), "--"), **more)

    def freeze(self, daemon):
        """holdfastd is killed, and nobody starts the next one until `thaw`."""
        os.kill(daemon.pid, signal.SIGSTOP)
        os.kill(self.supervisor(daemon), signal.SIGKILL)

    def thaw(self, daemon):
        os.kill(daemon.pid, signal.SIGCONT)

    def pids(self, daemon, unit="web"):
        return [w["pid"] for w in daemon.workers(unit) if w["state"] == "ready"]

    def release(self, daemon):
        return http_get(daemon.port("web"))[1].split("release=")[1].split()[0]

    def path(self, name):
        return os.path.join(self.folder, name)

    def test_more_listeners_than_the_limit_that_it_is_started_with(self):
        """The next one could not even be told what there is."""
        count = 1500
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        if hard < 2 * count:
            self.skip("the hard limit of descriptors is %d" % hard)
        unit = unit_text([tcp("s%d" % i) for i in range(count)],
                         {"type": "notify", "exec_start": [program("holdfast-webserver")], "limits": {"nofile": 4096}})
        daemon = self.kept({"web": unit}, before=("prlimit", "--nofile=1024:%d" % hard))
        before = {s["name"]: s["port"] for s in daemon.sockets("web")}
        pid = daemon.pid_of("web")
        self.kill(daemon)
        self.assertEqual({s["name"]: s["port"] for s in daemon.sockets("web")}, before)
        self.assertEqual(daemon.pid_of("web"), pid)

    def test_the_keeper_leaves_the_next_one_enough_descriptors(self):
        """It took all that it could, and no holdfastd could even start any more."""
        for count in (18, 21, 24, 27):
            with self.subTest(units=count):
                units = {"u%d" % i: unit_text([tcp()], {"exec_start": ["/bin/sleep", "1000"], "type": "simple"}) for i in range(count)}
                daemon = self.kept(units, before=("prlimit", "--nofile=160:160"), folder=str(count))
                for starts in (2, 3):
                    os.kill(daemon.call("Version")["pid"], signal.SIGKILL)
                    wait_for("the next", lambda n=starts: daemon.call("Version")["starts"] == n)
                    for name in units:
                        daemon.wait_whole(name)
                self.assertEqual(daemon.end(), 0)

    def test_what_could_not_be_saved_is_saved_later(self):
        """A memfd that could not be made counted as saved."""
        self.needs_strace()
        script = self.path("holdfastd")
        with open(script, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\ntest -e %(done)s && exec %(program)s \"$@\"\n: > %(done)s\n"
                       "exec strace -D -o %(log)s -e trace=memfd_create -e inject=memfd_create:error=ENFILE:when=1..12 %(program)s \"$@\"\n"
                       % {"done": self.path("done"), "log": self.path("log"), "program": program("holdfastd")})
        os.chmod(script, 0o755)
        daemon = self.daemon({"web": web(workers=2)}, wrapper=(program("holdfast-keeper"), "--", script), command=True)
        before, history = self.pids(daemon), daemon.run("trace", "web").out
        self.assert_says(daemon.run("upgrade"), 1, "could be saved")
        self.assertEqual(self.pids(daemon), before, "and all is as it was")
        daemon.wait_log("is saved again")
        os.kill(daemon.call("Version")["pid"], signal.SIGKILL)
        wait_for("the next", lambda: daemon.call("Version")["starts"] == 2)
        self.assertEqual(self.pids(daemon), before)
        self.assertTrue(daemon.run("trace", "web").out.startswith(history), "and its history")

    def test_a_client_in_a_listener_that_is_being_given_up_is_served(self):
        """What was let go when holdfastd died was dropped, and the clients in it were reset."""
        daemon = self.kept({"web": web(listen=["127.0.0.1:0", "127.0.0.2:0"], rollout=NO_PROBATION)})
        port = daemon.port("web", "http1")
        worker_pid = daemon.pid_of("web")
        os.kill(worker_pid, signal.SIGSTOP)
        with socket.create_connection(("127.0.0.2", port), 20 * FACTOR) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
            daemon.write("web", web(listen="127.0.0.1:0", release="2", rollout=NO_PROBATION))
            apply = daemon.popen("apply")
            daemon.wait_event("took-over")
            self.kill(daemon)
            self.assertEqual([w["generation"] for w in daemon.workers("web") if w["state"] == "ready"], [2])
            self.assertEqual(state_of(worker_pid), "T", "who serves those who wait is not told to go before")
            os.kill(worker_pid, signal.SIGCONT)
            self.assertIn("release=1", read_answer(client)[1])
        apply.communicate(timeout=30 * FACTOR)
        wait_for("its end", lambda: len(daemon.workers("web")) == 1)
        self.assertEqual(len(daemon.sockets("web")), 1)

    def test_a_main_process_that_the_worker_has_named_is_known(self):
        """The next one took the old number for it, and killed the new main process for its death."""
        note = self.path("pids")
        daemon = self.kept({"web": worker("become-child", "note=" + note, "say=READY=1\nMAINPID={{pid}}", restart="always")}, active=False)
        daemon.wait_state("web", "active")
        wait_for("the parent's end", lambda: len(daemon.workers("web")) == 1)
        with open(note, encoding="ascii") as file:
            main_pid = int(file.read())
        wait_for("the child", lambda: self.pids(daemon) == [main_pid])
        for _ in range(3):
            self.kill(daemon)
            self.assertEqual(self.pids(daemon), [main_pid])
        self.assert_says(daemon.run("stop", "web"), 0)
        wait_for("its end", lambda: has_ended(main_pid) or not os.path.exists("/proc/%d" % main_pid))
        with open(note, encoding="ascii") as file:
            self.assertEqual(file.read().split(), [str(main_pid)], "one was started")

    def deployed(self, **more):
        """A unit whose program is a copy that may be replaced."""
        path = self.path("app")
        shutil.copy(program("holdfast-webserver"), path)
        return self.kept({"web": unit_text([tcp()], {"type": "notify", "exec_start": [path, "--release", "1"], "timeout_start": "%ds" % (10 * FACTOR), **more},
                                           rollout=NO_PROBATION)}), path

    def inode(self, daemon):
        return os.stat("/proc/%d/exe" % daemon.pid_of("web")).st_ino

    def replace(self, path):
        shutil.copy(program("holdfast-webserver"), path + ".new")
        os.rename(path + ".new", path)

    def test_an_undo_goes_back_to_the_program_of_before_also_after_a_death(self):
        """The way back was known to the holdfastd that had rolled out, and to no other."""
        daemon, path = self.deployed(restart="always", restart_delay="10ms")
        first = self.inode(daemon)
        self.replace(path)
        self.assert_says(daemon.run("restart", "web"), 0)
        second = self.inode(daemon)
        self.assertNotEqual(second, first)
        self.kill(daemon)
        self.assert_says(daemon.run("rollout", "undo", "web"), 0)
        self.assertEqual(self.inode(daemon), first)
        self.kill(daemon)
        os.kill(daemon.pid_of("web"), signal.SIGKILL)
        daemon.wait_event("worker-died")
        daemon.wait_whole("web")
        self.assertEqual(self.inode(daemon), first, "and it is filled again from that")
        self.assert_says(daemon.run("rollout", "undo", "web"), 0)
        self.assertEqual(self.inode(daemon), second)

    def test_a_death_while_it_goes_back_does_not_start_what_is_at_the_path(self):
        daemon, path = self.deployed()
        first = self.inode(daemon)
        self.replace(path)
        self.assert_says(daemon.run("restart", "web"), 0)
        for _ in range(4 if FACTOR == 1 else 1):
            was = self.inode(daemon)
            undo = daemon.popen("rollout", "undo", "web")
            wait_for("its begin", lambda: daemon.run("events").text.count("goes back to the release before") > 0 and len(daemon.workers("web")) > 0)
            self.kill(daemon)
            self.assertIn("is done", undo.communicate(timeout=30 * FACTOR)[0])
            self.assertEqual(undo.returncode, 0)
            wait_for("its end", lambda: [w["state"] for w in daemon.workers("web")] == ["ready"])
            now = self.inode(daemon)
            self.assertNotEqual(now, was)
            self.assertIn(first, (now, was))

    def test_a_unit_that_waits_for_its_socket_starts_when_that_can_be_had(self):
        """Held, and never started."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            daemon = self.kept({"web": web(listen="127.0.0.1:%d" % port)}, active=False)
            wait_for("its failure", lambda: daemon.run("events").text.count("socket"))
            self.freeze(daemon)
        self.thaw(daemon)
        daemon.wait_whole("web")
        self.assertEqual(http_get(port)[0], 200)

    def test_a_unit_whose_file_is_back_while_it_is_removed_comes_back(self):
        """It was being removed for ever."""
        done = self.path("done")
        text = worker("say=READY=1", "term-takes=" + done, rollout={"drain_timeout": "%ds" % (60 * FACTOR)}, timeout_stop="%ds" % (60 * FACTOR))
        daemon = self.kept({"web": text})
        before = daemon.pid_of("web")
        daemon.remove("web")
        apply = daemon.popen("apply")
        daemon.wait_event("unit-removed")
        wait_for("its stop", lambda: daemon.unit("web")["state"] != "active")
        self.freeze(daemon)
        daemon.write("web", text)
        self.thaw(daemon)
        wait_for("it to go on leaving", lambda: daemon.call("List")["units"])
        with open(done, "w", encoding="ascii"):
            pass
        daemon.wait_whole("web")
        self.assertNotIn(before, self.pids(daemon))
        apply.communicate(timeout=30 * FACTOR)

    def test_an_abstract_listener_that_a_worker_shuts_down_listens_again(self):
        """The keeper's copy held the name, and it never did."""
        name = "holdfast-test-%d" % os.getpid()
        daemon = self.kept({"web": worker("say=READY=1", "shutdown", sockets=[tcp(listen="unix:@" + name)], restart="always", restart_delay="0s")})
        first = daemon.pid_of("web")
        os.kill(first, signal.SIGTERM)
        wait_for("another", lambda: self.pids(daemon) not in ([], [first]))

        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20 * FACTOR)
            client.connect("\0" + name)
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            self.assertIn(b"200", client.recv(100))
        # The worker that shut it down may hold the name itself for a moment, until it is gone.
        self.assertNotRegex(daemon.run("events").text, r"cannot bind .* held by holdfast-keeper \(pid \d+\): ")

    def test_an_address_is_free_as_soon_as_its_unit_is_gone(self):
        """The keeper held it a moment longer, and the unit that took its place failed to bind, once in a while."""
        port = free_port()
        daemon = self.kept({})
        for number in range(20):
            daemon.write("web%d" % number, web(listen="127.0.0.1:%d" % port))
            self.assert_says(daemon.run("apply"), 0, "added")
            daemon.remove("web%d" % number)
            self.assert_says(daemon.run("apply"), 0)

    def test_a_reload_that_was_under_way_is_not_begun_again(self):
        log, go = self.path("log"), self.path("go")
        script = "echo $MAINPID >> %s; until test -e %s; do sleep 0.01; done" % (log, go)
        daemon = self.kept({"web": worker("say=READY=1", exec_reload=["/bin/sh", "-c", script])})
        pid = daemon.pid_of("web")
        command = daemon.popen("reload", "web")
        wait_for("the command", lambda: os.path.exists(log))
        for _ in range(3):  # the second one found no command, and ran it again
            self.kill(daemon)
            wait_for("it to go on", lambda: daemon.call("List")["units"])
        with open(go, "w", encoding="ascii"):
            pass
        daemon.wait_event("worker-reloaded", unit="web")
        command.communicate(timeout=30 * FACTOR)
        with open(log, encoding="ascii") as file:
            self.assertEqual(file.read().split(), [str(pid)], "it was run once")
        self.kill(daemon)
        self.assertEqual(self.pids(daemon), [pid])

    def test_deaths_at_the_signal_to_reload_lose_no_worker(self):
        """A state that was still empty was saved then, and all workers but one were dropped: the next one started them a second time."""
        self.needs_strace()
        for number in range(1, 9):
            with self.subTest(sendmsg=number):
                log = self.path("reloads%d" % number)
                daemon = self.kept({"web": worker("reload=" + log, "say=READY=1", type="notify-reload", workers=3)}, folder="f%d" % number)
                pids = sorted(self.pids(daemon))
                with self.injecting(self.supervisor(daemon), "sendmsg", "signal=SIGKILL:when=%d" % number):
                    self.assert_says(daemon.run("reload", "web", deadline=60 * FACTOR), 0, "all workers have reloaded")
                for _ in range(2):
                    self.assertEqual(sorted(self.pids(daemon)), pids)
                    self.kill(daemon)
                wait_for("these and no others", lambda: sorted(pid for parent in (daemon.pid, *children_of(daemon.pid)) for pid in children_of(parent)
                                                               if "worker.py" in command_of(pid) and state_of(pid) not in "Z") == pids)
                with open(log, encoding="ascii") as file:
                    self.assertEqual(sorted(map(int, file.read().split())), pids, "each was signalled once")
                daemon.call("Version")  # there is one that can be told
                self.assertEqual(daemon.end(), 0)

    def test_a_death_in_the_midst_of_starting_workers_takes_nothing_from_them(self):
        """Who was known to the keeper and not yet to the saved text was probed at port 0, and the release was rolled back."""
        self.needs_strace()
        health = {"http": "/healthz", "interval": "50ms", "timeout": "%ds" % (5 * FACTOR), "failures": 1}
        unit = unit_text([tcp()], {"type": "notify", "exec_start": [program("holdfast-webserver")], "workers": 3}, health=health,
                         rollout={"probation": "500ms", "drain_timeout": "%ds" % (10 * FACTOR)})
        for number in range(4, 15):
            with self.subTest(sendmsg=number):
                daemon = self.kept({"web": unit}, folder="f%d" % number)
                before = daemon.call("Version")["starts"]
                with self.injecting(self.supervisor(daemon), "sendmsg", "signal=SIGKILL:when=%d" % number):
                    self.assert_says(daemon.run("restart", "web", deadline=60 * FACTOR), 0, "is done")
                self.assertEqual(daemon.call("Version")["starts"], before + 1)
                self.assertEqual({w["generation"] for w in daemon.workers("web") if w["role"] == "serving"}, {2})
                self.assertEqual(daemon.end(), 0)

    def test_a_death_while_a_unit_gets_shards_breaks_nothing(self):
        self.needs_strace()
        for number in range(1, 16):
            with self.subTest(sendmsg=number):
                daemon = self.kept({"web": web(workers=2)}, folder="f%d" % number)
                daemon.write("web", web(listen="127.0.0.2:0", workers=2, socket_more={"reuse_port": True}))
                with self.injecting(self.supervisor(daemon), "sendmsg", "signal=SIGKILL:when=%d" % number):
                    self.assert_says(daemon.run("apply", deadline=60 * FACTOR), 0)
                daemon.wait_whole("web")
                self.assertEqual(daemon.unit("web")["state"], "active")
                self.assertNotIn("a fault in holdfast", daemon.log_text())
                wait_for("shards", lambda: len(daemon.sockets("web")) >= 4)
                self.assertEqual(daemon.end(), 0)

    def test_a_death_while_it_stops_lets_the_workers_finish(self):
        """They were killed, and with them the requests that they were about to answer."""
        daemon = self.kept({"web": web(rollout=NO_PROBATION), "idle": web()})
        port, supervisor = daemon.port("web"), self.supervisor(daemon)
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.settimeout(30 * FACTOR)
            client.sendall(b"GET /slow?ms=%d HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n" % (1500 * FACTOR))
            wait_for("the request to be read", lambda: daemon.sockets("web")[0]["queue"] == 0)
            os.kill(daemon.pid, signal.SIGTERM)
            wait_for("the drain", lambda: "web: stopping" in daemon.log_text())
            for count in (1, 2):
                os.kill(supervisor, signal.SIGKILL)
                wait_for("its end", lambda pid=supervisor: has_ended(pid))
                supervisor = self.supervisor(daemon)
                wait_for("it to go on", lambda count=count: daemon.log_text().count("web: goes on with 1 worker") == count)
            self.assertEqual(read_answer(client)[0], 200)
        self.assertEqual(daemon.wait_end(), 0)
        self.assertEqual(daemon.log_text().count("while it stopped; it is started again"), 2)

    def test_workers_are_told_to_go_also_when_the_keeper_is_gone(self):
        """The signal went to a keeper that was not there any more, and they were killed at their deadline."""
        daemon = self.kept({"web": web(rollout=NO_PROBATION)})
        supervisor, old = self.supervisor(daemon), daemon.pid_of("web")
        os.kill(daemon.pid, signal.SIGKILL)
        daemon.wait_log("the keeper is gone")
        self.assert_says(daemon.run("restart", "web"), 0)
        wait_for("its end", lambda: has_ended(old) or not os.path.exists("/proc/%d" % old))
        self.assertNotIn("did not end in time", daemon.run("events").text)
        self.assert_says(daemon.run("shutdown"), 0)
        wait_for("the end", lambda: has_ended(supervisor) or not os.path.exists("/proc/%d" % supervisor))
        daemon.wait_end()

    def test_a_worker_is_signalled_once_to_reload(self):
        log = self.path("reloads")
        daemon = self.kept({"web": worker("reload=" + log, "say=READY=1", type="notify-reload")})
        pid = daemon.pid_of("web")
        with open(log + ".how", "w", encoding="ascii") as file:
            file.write("hang")
        command = daemon.popen("reload", "web")
        wait_for("the signal", lambda: os.path.exists(log))
        self.kill(daemon)
        self.kill(daemon)
        daemon.wait_event("reload-failed", unit="web", deadline=60 * FACTOR)
        command.communicate(timeout=30 * FACTOR)
        with open(log, encoding="ascii") as file:
            self.assertEqual(file.read().split(), [str(pid)])


if __name__ == "__main__":
    main()
