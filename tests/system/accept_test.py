# SPDX-License-Identifier: Apache-2.0
"""`accept = true`: one process for each connection; who is let in, who waits, who is refused, and how instances end."""
import os
import socket
import struct
import subprocess
import threading
import time

from accepting import ECHO, Accepting, echoes, is_refused, said, shell, unit
from harness import DEADLINE, NOBODY, PYTHON, as_user, connect, main, wait_for, wait_gone


class Accept(Accepting):
    # ---- what a program is given ----

    def test_the_connection_is_standard_input_and_output(self):
        daemon = self.accepting({"web": unit(ECHO)})
        with connect(daemon.port("web")) as one, connect(daemon.port("web")) as two:
            self.assertTrue(echoes(one, b"one\n") and echoes(two, b"two\n"))
            instances = self.connections(daemon)["instances"]
            self.assertEqual([i["name"] for i in instances],
                             ["web@%d-127.0.0.1:%d" % (n, s.getsockname()[1]) for n, s in ((1, one), (2, two))])
            self.assertEqual(len({os.getpgid(i["pid"]) for i in instances}), 2)
            self.assertTrue(all(i["memory_bytes"] > 0 and i["cpu_usec"] >= 0 for i in instances), instances)
            self.assertEqual(daemon.unit("web")["state"], "active")
            status = daemon.run("status", "web")
            self.assertIn(instances[0]["name"], status.text)
            self.assertIn("2 of 64, 2 accepted", status.text)
            self.assertIn("2/64", daemon.run("list").text)
        self.wait_live(daemon, 0)
        self.assertEqual(daemon.unit("web")["state"], "listening")
        self.assertEqual(self.connections(daemon)["failed"], 0)
        self.assertEqual([e["how"] for e in self.wait_ended(daemon, 2)], ["exit code 0"] * 2)

    def test_it_has_its_connection_and_no_other_descriptor(self):
        script = 'for fd in /proc/self/fd/*; do echo "${fd##*/} $(readlink $fd)"; done'
        daemon = self.accepting({"web": unit(["/bin/ls", "-l", "/proc/self/fd"])})
        lines = [line.split() for line in said(connect(daemon.port("web"))).splitlines()[1:]]
        found = {line[-3]: line[-1] for line in lines}
        self.assertEqual(found["0"], found["1"])
        self.assertTrue(found["0"].startswith("socket:"))
        self.assertNotEqual(found["2"], found["0"], "what it says on standard error is not for the client")
        self.assertEqual(sorted(found), ["0", "1", "2", "3"], "3 is the folder that ls reads; %s" % script)

    def test_it_is_told_who_is_there(self):
        daemon = self.accepting({"web": shell('echo "$REMOTE_ADDR $REMOTE_PORT $HOLDFAST_UNIT $HOLDFAST_GENERATION $LISTEN_FDS"',
                                              environment={"REMOTE_ADDR": "a lie"})})
        for number in (1, 2):
            client = connect(daemon.port("web"))
            port = client.getsockname()[1]
            self.assertEqual(said(client), "127.0.0.1 %d web %d \n" % (port, number))

    def test_listen_fds_has_it_as_the_one_descriptor_named_connection(self):
        daemon = self.accepting({"web": shell('echo "$LISTEN_FDS $LISTEN_FDNAMES $((LISTEN_PID == $$)) $REMOTE_ADDR" >&3', handoff="listen_fds")})
        self.assertEqual(said(connect(daemon.port("web"))), "1 connection 1 127.0.0.1\n")

    def test_arguments_may_name_the_number(self):
        daemon = self.accepting({"web": unit(["/bin/echo", "{unit}", "{generation}"])})
        self.assertEqual([said(connect(daemon.port("web"))) for _ in range(2)], ["web 1\n", "web 2\n"])

    def test_ipv6_and_ipv4_by_the_same_listener(self):
        if not socket.has_ipv6 or not os.path.exists("/proc/net/if_inet6"):
            self.skipTest("no IPv6")
        daemon = self.accepting({"web": shell('echo "$REMOTE_ADDR"', listen="[::]:0")})
        port = daemon.port("web")
        with socket.create_connection(("::1", port), timeout=DEADLINE) as client:
            self.assertEqual(said(client), "::1\n")
        self.assertEqual(said(connect(port)), "127.0.0.1\n")
        peers = [e["name"].split("-", 1)[1].rpartition(":")[0] for e in self.wait_ended(daemon, 2)]
        self.assertEqual(sorted(peers), ["127.0.0.1", "[::1]"])

    def test_a_unix_peer_is_told_by_user_group_and_process(self):
        path = os.path.join(self.folder, "in.sock")
        daemon = self.accepting({"web": shell('echo "$REMOTE_UID $REMOTE_GID $REMOTE_PID [$REMOTE_ADDR] [$REMOTE_PORT]"', listen="unix:" + path)})
        self.assertEqual(said(connect(path)), "%d %d %d [] []\n" % (os.getuid(), os.getgid(), os.getpid()))
        named = socket.socket(socket.AF_UNIX)
        named.settimeout(DEADLINE)
        named.bind("\0hf-accept-%d" % os.getpid())
        named.connect(path)
        self.assertIn("[@hf-accept-%d]" % os.getpid(), said(named))
        self.assertEqual(sorted(e["name"] for e in self.wait_ended(daemon, 2)),
                         ["web@%d-uid%d.pid%d" % (number, os.getuid(), os.getpid()) for number in (1, 2)])

    # ---- limits ----

    def test_a_full_house_lets_others_wait_and_takes_them_when_one_ends(self):
        daemon = self.accepting({"web": unit(ECHO, max_connections=2)})
        port = daemon.port("web")
        clients = [connect(port) for _ in range(2)]
        self.assertTrue(all(echoes(c) for c in clients))
        waiting = connect(port)
        waiting.sendall(b"me too\n")
        wait_for("it to wait", lambda: daemon.sockets("web")[0]["queue"] == 1)
        counted = self.connections(daemon)
        self.assertEqual((counted["live"], counted["is_full"], counted["refused_full"]), (2, True, 0))
        self.assertIn("others wait", daemon.run("status", "web").text)
        clients[0].close()
        self.assertEqual(waiting.recv(100), b"me too\n")
        waiting.close()
        clients[1].close()
        self.wait_live(daemon, 0)

    def test_or_refuses_them_and_counts(self):
        daemon = self.accepting({"web": unit(ECHO, max_connections=1, on_full="refuse")})
        with connect(daemon.port("web")) as first:
            self.assertTrue(echoes(first))
            for _ in range(10):
                self.assertTrue(is_refused(daemon.port("web")))
            self.assertTrue(echoes(first))
            self.assertEqual(self.connections(daemon)["refused_full"], 10)
        self.wait_live(daemon, 0)
        with connect(daemon.port("web")) as client:
            self.assertTrue(echoes(client))
        self.assertIn("10 refused as too many", daemon.run("status", "web").text)
        events = [e for e in daemon.call("Events")["events"] if e["kind"] == "connection-refused"]
        self.assertEqual(len(events), 3, "the rest is summed up")

    def test_a_source_has_so_many_and_others_are_let_in(self):
        daemon = self.accepting({"web": unit(ECHO, max_connections_per_source=1)})
        port = daemon.port("web")
        ada, bob = socket.socket(), socket.socket()
        bob.bind(("127.0.0.2", 0))
        for client in (ada, bob):
            client.settimeout(DEADLINE)
            client.connect(("127.0.0.1", port))
            self.assertTrue(echoes(client))
        self.assertTrue(is_refused(port))
        self.assertEqual(self.connections(daemon)["refused_source"], 1)
        ada.close()
        self.wait_live(daemon, 1)
        with connect(port) as again:
            self.assertTrue(echoes(again))
        bob.close()

    def test_users_of_a_unix_socket_are_counted_apart(self):
        self.needs_nobody()
        path = os.path.join(self.folder, "in.sock")
        daemon = self.accepting({"web": unit(ECHO, listen="unix:" + path, max_connections_per_source=1)})
        with connect(path) as mine:
            self.assertTrue(echoes(mine))
            self.assertEqual(said(connect(path)), "", "a unix peer that has said nothing is not reset")
            self.assertEqual(self.connections(daemon)["refused_source"], 1)
            code = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b'x'); sys.stdout.write(s.recv(1).decode())"
            done = subprocess.run([PYTHON, "-I", "-S", "-c", code, path], stdout=subprocess.PIPE, timeout=DEADLINE, check=True, **as_user(NOBODY))
            self.assertEqual(done.stdout, b"x")

    # ---- programs that do not do well ----

    def test_a_program_that_dies_at_once_for_each_of_many_connections(self):
        daemon = self.accepting({"web": unit(["/bin/false"], limit=0), "other": unit(ECHO)})
        fds = len(os.listdir("/proc/%d/fd" % daemon.pid))
        many = 1500
        for _ in range(many):
            said(connect(daemon.port("web")))
        self.wait_count(daemon, "failed", many)
        self.wait_live(daemon, 0)
        self.assertEqual(daemon.unit("web")["state"], "listening")
        self.assertEqual(self.connections(daemon)["accepted"], many)
        events = [e for e in daemon.call("Events")["events"] if e["unit"] == "web" and e["kind"] == "instance-failed"]
        self.assertIn(len(events), range(3, 3 + int(many / 50)))
        self.assertIn("exit code 1", events[0]["text"])
        with connect(daemon.port("other")) as client:
            self.assertTrue(echoes(client))
        self.wait_live(daemon, 0, "other")
        self.assertLessEqual(len(os.listdir("/proc/%d/fd" % daemon.pid)), fds + 2)

    def test_one_that_dies_at_once_is_started_so_often_and_others_wait(self):
        # There was no limit: it was started as fast as a core can, for as long as somebody connected.
        burst, more, interval = 100, 50, 2
        table = {"name": "in", "listen": "127.0.0.1:0", "backlog": 1000, "trigger_limit_burst": burst, "trigger_limit_interval": "%ds" % interval}
        daemon = self.accepting({"web": unit(["/bin/false"], sockets=[table]), "other": unit(ECHO)})
        begin = time.monotonic()
        clients = [connect(daemon.port("web")) for _ in range(burst + more)]
        counted = wait_for("the limit", lambda: (lambda c: c if c["is_limited"] else None)(self.connections(daemon)))
        self.assertEqual(counted["accepted"], burst)
        self.assertIn("others wait: too many were started", daemon.run("status", "web").text)
        self.assertIn("100 processes were started in 2s", daemon.wait_event("trigger-limit-hit", "web")["text"])
        with connect(daemon.port("other")) as client:
            self.assertTrue(echoes(client))
        self.assertEqual([said(client) for client in clients], [""] * len(clients), "it goes on by itself, and nobody is refused")
        self.assertGreaterEqual(time.monotonic() - begin, interval)
        self.assertEqual(self.connections(daemon)["accepted"], len(clients))
        self.assertEqual(len([e for e in daemon.call("Events")["events"] if e["kind"] == "trigger-limit-hit"]), 1, "it is one flood")

    def test_the_limit_is_200_unless_it_is_said(self):
        sockets = [{"name": "in", "listen": "127.0.0.1:0", "backlog": 1000, "trigger_limit_interval": "1min"}]  # a slow machine needs more than 2s
        daemon = self.accepting({"web": unit(["/bin/true"], sockets=sockets, max_connections=300)})
        clients = [connect(daemon.port("web")) for _ in range(250)]
        self.assertIn("200 processes were started in 1min", daemon.wait_event("trigger-limit-hit", "web")["text"])
        for client in clients:
            client.close()

    def test_one_that_cannot_be_executed_is_said_with_its_reason(self):
        daemon = self.accepting({"web": unit(["/nowhere/program"])})
        client = connect(daemon.port("web"))
        self.assertEqual(said(client), "")
        event = daemon.wait_event("instance-failed", "web")
        self.assertIn("/nowhere/program: No such file", event["text"])
        self.assertIn("web@1-127.0.0.1:", event["text"])

    def test_clients_that_reset_at_once_and_that_say_nothing(self):
        daemon = self.accepting({"web": unit(ECHO, limit=0, max_connections=8, max_connections_per_source=8)})
        port = daemon.port("web")
        for _ in range(300):
            client = connect(port)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        silent = [connect(port) for _ in range(8)]
        wait_for("all of them served", lambda: self.connections(daemon)["live"] == 8)
        for client in silent:
            client.close()
        self.wait_live(daemon, 0)
        with connect(port) as client:
            self.assertTrue(echoes(client))

    # ---- stop, restart, apply ----

    def test_a_stop_lets_instances_finish_then_kills_them(self):
        stubborn = "trap '' TERM; echo up; while :; do sleep 1; done"
        polite = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done"
        daemon = self.accepting({"hard": shell(stubborn, timeout_stop="500ms"), "soft": shell(polite)})
        hard, soft = connect(daemon.port("hard")), connect(daemon.port("soft"))
        for client in (hard, soft):
            self.assertEqual(client.recv(3), b"up\n")
        self.assert_says(daemon.run("stop", "soft"), 0)
        self.assertEqual(said(soft), "bye\n")
        self.assertEqual(daemon.unit("soft")["state"], "inactive")
        pid = self.connections(daemon, "hard")["instances"][0]["pid"]
        self.assert_says(daemon.run("stop", "hard"), 0)
        wait_gone(pid)
        hard.close()
        self.assertIn("killed", daemon.wait_event("drain-deadline-passed", "hard")["text"])
        # The socket is held, nobody is accepted; who waits is served after a start.
        waiting = connect(daemon.port("soft"))
        wait_for("it to wait", lambda: daemon.sockets("soft")[0]["queue"] == 1)
        self.assert_says(daemon.run("start", "soft"), 0)
        self.assertEqual(waiting.recv(3), b"up\n")
        waiting.close()

    def test_a_start_while_the_last_ones_finish_accepts_again(self):
        daemon = self.accepting({"web": shell("trap '' TERM; cat")})
        with connect(daemon.port("web")) as old:
            self.assertTrue(echoes(old))
            stop = daemon.popen("stop", "web")
            daemon.wait_state("web", "stopping")
            self.assert_says(daemon.run("start", "web"), 0)
            self.assertNotEqual(stop.wait(DEADLINE), 0)
            stop.communicate()
            with connect(daemon.port("web")) as new:
                self.assertTrue(echoes(new))
            self.assertTrue(echoes(old))

    def test_what_is_refused_says_the_state_that_status_shows(self):
        # A unit that was stopping was said to be inactive, and one that served "is listening; start it".
        daemon = self.accepting({"web": shell("trap '' TERM; cat")})
        with connect(daemon.port("web")) as client:
            self.assertTrue(echoes(client))
            self.assert_says(daemon.run("reload", "web"), 1, "the next one reads its configuration anew")
            stop = daemon.popen("stop", "web")
            daemon.wait_state("web", "stopping")
            self.assert_says(daemon.run("pause", "web"), 3, "is stopping")
            self.assert_says(daemon.run("reload", "web"), 3, "is stopping")
        self.assertEqual(stop.wait(DEADLINE), 0)
        stop.communicate()

    def test_it_is_active_since_the_first_client_came(self):
        # It was shown as active since it had begun to listen.
        daemon = self.accepting({"web": unit(ECHO)})
        listening = daemon.unit("web")["since_usec"]
        with connect(daemon.port("web")) as client:
            self.assertTrue(echoes(client))
            active = daemon.unit("web")
            self.assertGreater(active["since_usec"], listening)
            self.assertAlmostEqual(active["since_usec"], active["connections"]["instances"][0]["since_usec"], delta=100_000)
        self.wait_live(daemon, 0)
        self.assertGreater(daemon.unit("web")["since_usec"], active["since_usec"])

    def test_an_apply_is_for_the_next_connections(self):
        daemon = self.accepting({"web": shell("echo old; cat")})
        port = daemon.port("web")
        old = connect(port)
        self.assertEqual(old.recv(4), b"old\n")
        daemon.write("web", shell("echo new; cat", max_connections=2))
        self.assert_says(daemon.run("apply"), 0)
        self.assertEqual(daemon.port("web"), port)
        with connect(port) as new:
            self.assertEqual(new.recv(4), b"new\n")
            self.assertTrue(echoes(old), "who is served is left alone")
            self.assertTrue(self.connections(daemon)["is_full"])
        self.assert_says(daemon.run("restart", "web"), 0)
        self.assertTrue(echoes(old))
        self.assertFalse([e for e in daemon.call("Events")["events"] if e["kind"] == "stopped"])
        old.close()
        self.wait_live(daemon, 0)

    def test_an_apply_that_moves_the_address_serves_who_waits(self):
        daemon = self.accepting({"web": unit(ECHO, max_connections=1)})
        port = daemon.port("web")
        first, waiting = connect(port), None
        self.assertTrue(echoes(first))
        waiting = connect(port)
        wait_for("it to wait", lambda: daemon.sockets("web")[0]["queue"] == 1)
        daemon.write("web", unit(ECHO, sockets=[{"name": "elsewhere", "listen": "127.0.0.1:0"}], max_connections=1))
        self.assert_says(daemon.run("apply"), 0)
        first.close()
        self.assertTrue(echoes(waiting))
        waiting.close()
        with connect(daemon.port("web")) as client:
            self.assertTrue(echoes(client))

    def test_a_unit_that_is_removed_ends_its_instances(self):
        daemon = self.accepting({"web": unit(ECHO)})
        client = connect(daemon.port("web"))
        self.assertTrue(echoes(client))
        pid = self.connections(daemon)["instances"][0]["pid"]
        daemon.remove("web")
        self.assert_says(daemon.run("apply"), 0)
        wait_gone(pid)
        self.assertEqual(said(client), "")

    def test_accept_itself_is_changed_only_at_rest(self):
        daemon = self.accepting({"web": unit(ECHO)})
        with connect(daemon.port("web")) as client:
            self.assertTrue(echoes(client))
            daemon.write("web", "[[socket]]\nname = \"in\"\nlisten = \"127.0.0.1:0\"\n[service]\nexec_start = [\"/bin/sleep\", \"1000\"]\n")
            self.assert_says(daemon.run("apply"), 1, "`accept` cannot be changed while something runs")
            self.assertTrue(echoes(client))
        self.wait_live(daemon, 0)
        self.assert_says(daemon.run("apply"), 0)
        self.assertIsNone(self.connections(daemon))
        self.assertEqual(len(daemon.workers("web")), 1)
        self.assert_says(daemon.run("stop", "web"), 0)
        daemon.write("web", unit(ECHO))
        self.assert_says(daemon.run("apply"), 0)
        self.assert_says(daemon.run("start", "web"), 0)
        with connect(daemon.port("web")) as client:
            self.assertTrue(echoes(client))

    def test_accept_is_not_switched_on_while_a_crashed_worker_is_to_be_started_again(self):
        """The next start was an ordinary one, by the new text: it got the listener, and no connection was ever accepted."""
        pool = "[[socket]]\nname = \"in\"\nlisten = \"127.0.0.1:0\"\n[service]\nexec_start = [\"/bin/sleep\", \"%s\"]\nrestart = \"always\"\n"
        daemon = self.daemon({"web": pool % "0.1" + "restart_delay = \"1000s\"\n"}, active=False)
        wait_for("the pause before the next start", lambda: not daemon.workers("web") and daemon.unit("web")["state"] != "inactive")
        daemon.write("web", unit(ECHO))
        self.assert_says(daemon.run("apply"), 1, "to be started again")
        self.assert_says(daemon.run("stop", "web"), 0)
        self.assert_says(daemon.run("apply"), 0)
        self.assert_says(daemon.run("start", "web"), 0)
        with connect(daemon.port("web")) as client:
            self.assertTrue(echoes(client))

    # ---- kill -9 of holdfastd ----

    def test_instances_outlive_holdfastd_and_are_counted_on(self):
        daemon = self.kept({"web": unit(ECHO, max_connections=3, max_connections_per_source=2)})
        port = daemon.port("web")
        clients = [connect(port) for _ in range(2)]
        other = socket.socket()
        other.bind(("127.0.0.2", 0))
        other.settimeout(DEADLINE)
        self.assertTrue(all(echoes(c) for c in clients))
        before = self.connections(daemon)["instances"]
        self.kill(daemon)
        after = self.connections(daemon)["instances"]
        self.assertEqual([(i["name"], i["pid"], i["state"]) for i in before], [(i["name"], i["pid"], i["state"]) for i in after])
        self.assertTrue(all(abs(a["since_usec"] - b["since_usec"]) < 1e6 for a, b in zip(before, after)))
        self.assertTrue(all(echoes(c) for c in clients))
        self.assertTrue(is_refused(port), "its source has two")
        other.connect(("127.0.0.1", port))
        self.assertTrue(echoes(other))
        self.assertTrue(self.connections(daemon)["is_full"])
        clients[0].close()
        self.wait_live(daemon, 2)
        with connect(port) as new:
            self.assertTrue(echoes(new))
            self.assertNotIn(self.connections(daemon)["instances"][-1]["instance"], [i["instance"] for i in before])
        pids = [i["pid"] for i in self.connections(daemon)["instances"]]
        self.assert_says(daemon.run("stop", "web"), 0)
        for pid in pids:
            wait_gone(pid)
        clients[1].close()
        other.close()

    def test_an_upgrade_gives_no_number_twice_and_forgets_no_count(self):
        # The counters of the last second were not saved before an ordered upgrade.
        daemon = self.kept({"web": unit(ECHO)})
        with connect(daemon.port("web")) as client:
            self.assertTrue(echoes(client))
        self.wait_live(daemon, 0)
        self.assert_says(daemon.run("upgrade"), 0)
        self.assertEqual(self.connections(daemon)["accepted"], 1)
        with connect(daemon.port("web")) as client:
            self.assertTrue(echoes(client))
            self.assertEqual([i["instance"] for i in self.connections(daemon)["instances"]], [2])

    def test_a_stop_under_way_is_ended_by_the_successor(self):
        daemon = self.kept({"web": shell("trap 'sleep 0.2; echo bye; exit' TERM; echo up; while :; do sleep 0.01; done")})
        client = connect(daemon.port("web"))
        self.assertEqual(client.recv(3), b"up\n")
        stop = daemon.popen("stop", "web")
        daemon.wait_state("web", "stopping")
        self.kill(daemon)
        self.assertEqual(said(client), "bye\n", "told once, and not killed")
        self.assertEqual(stop.wait(DEADLINE), 0)
        stop.communicate()
        daemon.wait_state("web", "inactive")

    def test_nobody_is_lost_who_is_served_while_it_is_killed_again_and_again(self):
        daemon = self.kept({"web": unit(ECHO, limit=0)})
        port = daemon.port("web")
        lost, served, stop = [], [], threading.Event()

        def client():
            while not stop.is_set():
                try:
                    with connect(port) as sock:
                        if echoes(sock):  # from here on it must stay
                            time.sleep(0.02)
                            (served if echoes(sock) else lost).append(1)
                except OSError:
                    pass  # in the moment between accept and fork, or while it waited at its gate
        clients = [threading.Thread(target=client) for _ in range(4)]
        for one in clients:
            one.start()
        try:
            for _ in range(8):
                count = len(served)
                self.kill(daemon)
                wait_for("more", lambda: len(served) > count + 3)
        finally:
            stop.set()
            for one in clients:
                one.join()
        self.assertEqual(lost, [])
        self.wait_live(daemon, 0)


if __name__ == "__main__":
    main()
