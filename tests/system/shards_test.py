# SPDX-License-Identifier: Apache-2.0
"""`reuse_port`: every worker has a listener of its own in each of two banks, and what is steered to it."""
import os
import re
import signal

from harness import Story, http_get, main, wait_for, web


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

    def test_a_bigger_and_a_smaller_pool_lose_nothing(self):
        daemon = self.pool(8)
        load = self.load(daemon.port("web"), seconds=3)
        for count in (2, 8, 2, 8):
            self.assert_says(daemon.run("scale", "web", str(count)), 0)
            self.assertEqual(len(daemon.workers("web")), count)
        self.assert_clean(load.finish(), least=100)

    def test_a_lazy_one_is_started_by_its_first_client_and_serves_it(self):
        daemon = self.daemon({"web": web(workers=2, activation="lazy", socket_more={"reuse_port": True})}, active=False)
        self.assertEqual(daemon.workers("web"), [])
        self.assertEqual(http_get(daemon.port("web"))[0], 200)

    def test_clients_wait_while_it_is_stopped_and_are_served_when_it_starts(self):
        daemon = self.pool(2)
        self.assert_says(daemon.run("restart", "web"), 0)  # so that another bank serves than at first
        port = daemon.port("web")
        self.assert_says(daemon.run("stop", "web"), 0)
        from harness import connect, read_answer
        waiting = [connect(port) for _ in range(8)]
        for sock in waiting:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        self.assert_says(daemon.run("start", "web"), 0)
        for sock in waiting:
            with sock:
                self.assertEqual(read_answer(sock)[0], 200)

    def test_it_is_turned_on_and_off_only_while_the_address_is_not_held(self):
        daemon = self.daemon({"web": web()})
        daemon.write("web", web(socket_more={"reuse_port": True}))
        self.assert_says(daemon.run("apply"), 1, "reuse_port", "cannot be changed while it is held")
        self.assertEqual(http_get(daemon.port("web"))[0], 200)


if __name__ == "__main__":
    main()
