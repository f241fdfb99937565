# SPDX-License-Identifier: Apache-2.0
"""`reuse_port`: every worker has a listener of its own in each of two banks, and what is steered to it."""
import json
import os
import re
import signal
import socket

from harness import DEADLINE, HERE, PYTHON, Story, connect, free_port, http_get, main, read_answer, tcp, unit_text, wait_for, web, worker


class Shards(Story):
    def pids(self, daemon):
        return [w["pid"] for w in sorted(daemon.workers("web"), key=lambda w: w["slot"]) if w["state"] == "ready"]

    def pool(self, count, **unit):
        """A daemon with the sharded unit "web", when all its workers are ready."""
        daemon = self.daemon({"web": web(workers=count, socket_more={"reuse_port": True}, **unit)})
        wait_for("all to be ready", lambda: len(self.pids(daemon)) == count)
        return daemon

    def test_every_worker_gets_its_part_of_the_new_connections(self):
        daemon = self.pool(4, arguments=["--release", "slot-{slot}"])
        seen = set()

        def all_answered():
            seen.add(re.search(r"release=(\S+)", http_get(daemon.port("web"))[1])[1])
            return len(seen) == 4
        wait_for("each of the four to answer", all_answered)

    def restarts(self, keep_alive, **unit):
        daemon = self.pool(4, **unit)
        load = self.load(daemon.port("web"), seconds=2, keep_alive=keep_alive)
        count = 0
        while load.is_running():
            self.assert_says(daemon.run("restart", "web"), 0)
            count += 1
        self.assertGreater(count, 1)
        self.assert_clean(load.finish(), least=100)
        self.assertEqual(len(daemon.workers("web")), 4)
        self.assertEqual(len({w["generation"] for w in daemon.workers("web")}), 1)

    def test_restarts_lose_nothing(self):
        self.restarts(False)

    def test_restarts_lose_nothing_that_is_kept_alive(self):
        self.restarts(True)

    def test_rolling_restarts_lose_nothing(self):
        self.restarts(False, rollout={"strategy": "rolling", "drain_timeout": "10s"})

    def test_restarts_that_stop_the_old_ones_first_lose_nothing(self):
        self.restarts(False, rollout={"strategy": "replace", "drain_timeout": "10s"})

    def test_the_death_of_one_of_four_costs_what_it_held_and_no_more(self):
        daemon = self.pool(4)
        load = self.load(daemon.port("web"), seconds=2)
        victim = self.pids(daemon)[1]
        os.kill(victim, signal.SIGKILL)
        wait_for("another in its place", lambda: len(self.pids(daemon)) == 4 and victim not in self.pids(daemon))
        result = load.finish()
        self.assertLessEqual(result["failed"], 16, result["failures"])
        self.assertEqual(result["failures"]["refused"], 0, result["failures"])
        self.assertEqual(result["failures"]["timeout"], 0, result["failures"])

    def listeners(self, port):
        """How many sockets listen on the port, as the kernel tells: two banks and the anchor of the group."""
        rows = [line.split() for line in open("/proc/net/tcp")][1:]
        return sum(row[3] == "0A" and row[1].endswith(":%04X" % port) for row in rows)

    def test_a_bigger_and_a_smaller_pool_lose_nothing(self):
        daemon = self.pool(8)
        port = daemon.port("web")
        load = self.load(port, seconds=3)
        for count in (2, 8, 2, 8):
            self.assert_says(daemon.run("scale", "web", str(count)), 0)
            self.assertEqual(len(daemon.workers("web")), count)
            wait_for("%d listeners" % (2 * count + 1), lambda: self.listeners(port) == 2 * count + 1)
            self.assertEqual(len(daemon.sockets("web")), 2 * count)
        self.assert_clean(load.finish(), least=100)

    def stranger(self, port):
        """Another process of the daemon's user at the port: as long as it is there no shards can be added."""
        sock = socket.socket()
        self.addCleanup(sock.close)
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            sock.setsockopt(socket.SOL_SOCKET, option, 1)
        sock.bind(("127.0.0.1", port))
        sock.listen()
        return sock

    def test_a_pool_whose_shards_cannot_be_made_yet_loses_nothing(self):
        daemon = self.pool(2)
        port = daemon.port("web")
        stranger = self.stranger(port)
        load = self.load(port, seconds=3)
        for count in (4, 2, 5):
            self.assert_says(daemon.run("scale", "web", str(count)), 0)
            self.assertEqual(len(daemon.workers("web")), count)
        self.assertEqual(self.listeners(port), 5 + 1)
        self.assert_says(daemon.run("restart", "web"), 0)
        stranger.close()
        daemon.wait_event("shards-held", "web")
        self.assert_says(daemon.run("scale", "web", "3"), 0)
        wait_for("7 listeners", lambda: self.listeners(port) == 7)
        self.assert_says(daemon.run("restart", "web"), 0)
        self.assert_clean(load.finish(), least=100)
        self.assertEqual({e["kind"] for e in daemon.call("Events")["events"]} & {"shard-given-up", "rest-deadline-passed"}, set())

    def test_a_guest_that_asks_late_by_messages_gets_the_listener_that_it_serves(self):
        asks, out = (os.path.join(self.folder, name) for name in ("asks", "frames"))
        daemon = self.daemon({"web": unit_text([tcp(reuse_port=True)], {
            "type": "exec", "handoff": ["scm_rights"], "workers": 1, "exec_start": [
                PYTHON, "-I", "-S", os.path.join(HERE, "scm_worker.py"), out + "{generation}.{slot}", "get", "--after", asks, "--serve"]})})

        def given(generation):
            """The listeners that its two workers were given, by their inodes."""
            paths = ["%s%d.%d" % (out, generation, slot) for slot in (0, 1)]
            wait_for("both to have asked", lambda: all(os.path.exists(path) and os.path.getsize(path) for path in paths))
            lines = []
            for path in paths:
                with open(path) as file:
                    lines.append(json.loads(file.readline())["inodes"])
            return lines
        stranger = self.stranger(daemon.port("web"))
        self.assert_says(daemon.run("scale", "web", "2"), 0)
        stranger.close()
        daemon.wait_event("shards-held", "web")
        with open(asks, "w"):
            pass
        first, guest = given(1)
        self.assertEqual(first, guest)
        self.assert_says(daemon.run("restart", "web"), 0)
        first, second = given(2)
        self.assertEqual((len(first), len(second)), (1, 1))
        self.assertNotEqual(first, second)

    def test_a_change_to_fewer_workers_closes_their_shards(self):
        daemon = self.pool(4)
        port = daemon.port("web")
        load = self.load(port, seconds=1.5)
        daemon.write("web", web("127.0.0.1:0", workers=2, release="2", socket_more={"reuse_port": True}))
        self.assert_says(daemon.run("apply"), 0)
        wait_for("5 listeners", lambda: self.listeners(port) == 5)
        self.assert_clean(load.finish(), least=100)

    def waiting(self, port, count):
        """Clients that have asked, and that nobody has answered yet."""
        clients = [connect(port) for _ in range(count)]
        for sock in clients:
            self.addCleanup(sock.close)
            sock.sendall(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        return clients

    def assert_answered(self, clients):
        for sock in clients:
            self.assertEqual(read_answer(sock)[0], 200)

    def test_who_waits_for_a_worker_that_dies_while_it_leaves_is_served_by_another(self):
        daemon = self.pool(1)
        old = self.pids(daemon)[0]
        os.kill(old, signal.SIGSTOP)
        clients = self.waiting(daemon.port("web"), 5)
        since = daemon.last_event()
        restart = daemon.popen("restart", "web")
        daemon.wait_event("took-over", "web", since)
        os.kill(old, signal.SIGKILL)
        self.assert_answered(clients)
        self.assertIn("5 connections still wait in shard 0", daemon.wait_event("shard-lent", "web", since)["text"])
        self.assertEqual(restart.communicate() and restart.returncode, 0)
        wait_for("the other one to be gone", lambda: len(daemon.workers("web")) == 1)

    def test_who_waits_in_a_place_that_a_smaller_pool_does_not_have_is_served_when_it_starts(self):
        daemon = self.pool(4)
        port = daemon.port("web")
        self.assert_says(daemon.run("stop", "web"), 0)
        clients = self.waiting(port, 20)
        self.assert_says(daemon.run("scale", "web", "1"), 0)
        self.assert_says(daemon.run("start", "web"), 0)
        self.assert_answered(clients)
        wait_for("3 listeners and one worker", lambda: self.listeners(port) == 3 and len(daemon.workers("web")) == 1)
        self.assertEqual([e for e in daemon.call("Events")["events"] if e["kind"] == "shard-given-up"], [])

    def test_a_lazy_one_is_started_by_its_first_client_and_serves_it(self):
        daemon = self.daemon({"web": web(workers=2, activation="lazy", socket_more={"reuse_port": True})}, active=False)
        self.assertEqual(daemon.workers("web"), [])
        self.assertEqual(http_get(daemon.port("web"))[0], 200)

    def test_clients_wait_while_it_is_stopped_and_are_served_when_it_starts(self):
        daemon = self.pool(2)
        self.assert_says(daemon.run("restart", "web"), 0)  # so that another bank serves than at first
        port = daemon.port("web")
        self.assert_says(daemon.run("stop", "web"), 0)
        clients = self.waiting(port, 8)
        self.assert_says(daemon.run("start", "web"), 0)
        self.assert_answered(clients)

    def test_it_is_turned_on_and_off_only_while_the_address_is_not_held(self):
        daemon = self.daemon({"web": web()})
        daemon.write("web", web(socket_more={"reuse_port": True}))
        self.assert_says(daemon.run("apply"), 1, "reuse_port", "cannot be changed while it is held")
        self.assertEqual(http_get(daemon.port("web"))[0], 200)

    def test_an_address_with_shards_does_not_move_to_another_unit_in_one_apply(self):
        daemon = self.daemon({})
        port = free_port()
        address = "127.0.0.1:%d" % port
        there, here = worker("say=READY=1", sockets=[tcp("a", address, reuse_port=True)]), worker("say=READY=1", sockets=[])
        daemon.write("one", there)
        daemon.write("two", here)
        self.assert_says(daemon.run("apply"), 0)
        daemon.write("one", here)
        daemon.write("two", there)
        self.assert_says(daemon.run("apply"), 1, address, "cannot move from unit one to unit two", "`reuse_port`", "apply the one without it first")
        self.assertEqual(http_get(port)[0], 200)
        daemon.write("two", here)
        self.assert_says(daemon.run("apply"), 0)
        daemon.write("two", there)
        self.assert_says(daemon.run("apply"), 0)
        self.assertEqual(http_get(port)[0], 200)

    def test_datagrams_are_shared_out_and_none_is_lost_by_restarts(self):
        daemon = self.daemon({"dns": worker("udp", "say=READY=1", workers=2, sockets=[
            {"name": "dns", "listen": "udp://127.0.0.1:0", "reuse_port": True}], steering={"mode": "random"})})
        wait_for("both to be ready", lambda: [w["state"] for w in daemon.workers("dns")] == ["ready", "ready"])
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(client.close)
        client.settimeout(DEADLINE)
        port = daemon.port("dns")
        seen = []

        def ask(count):
            for _ in range(count):
                client.sendto(b"%d" % len(seen), ("127.0.0.1", port))
                pid, text = re.fullmatch(r"pid=(\d+) (\d+)", client.recv(100).decode()).groups()
                self.assertEqual(int(text), len(seen))
                seen.append(int(pid))
        ask(200)
        by_first = {pid: seen.count(pid) for pid in set(seen)}
        self.assertEqual(set(by_first), {w["pid"] for w in daemon.workers("dns")})
        self.assertGreater(min(by_first.values()), 50)  # of 200 at 50 %: less is a chance of 10^-12
        for _ in range(3):
            restart = daemon.popen("restart", "dns")
            while restart.poll() is None:
                ask(1)
            self.assertEqual(restart.returncode, 0, restart.communicate())
        del seen[:]
        ask(100)
        self.assertEqual(set(seen), {w["pid"] for w in daemon.workers("dns")})


if __name__ == "__main__":
    main()
