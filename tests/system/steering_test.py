# SPDX-License-Identifier: Apache-2.0
"""[steering]: by what the traffic of `reuse_port` sockets finds its worker."""
import os
import re
import signal
import socket
import threading
import time

from harness import (DEADLINE, PYTHON, ROOT, Story, children_of, command_of, has_ended, http_get, main, program, status_of, wait_for, web,
                     worker)

EXAMPLE = os.path.join(ROOT, "examples", "quic-like")
OPEN, DATA, CLOSE, UNKNOWN = range(4)


def udp(**more):
    return [{"name": "dns", "listen": "udp://127.0.0.1:0", "reuse_port": True, **more}]


class Modes(Story):
    def modes(self, daemon, unit="web"):
        return {s["steering"] for s in daemon.sockets(unit)}

    def pids(self, daemon, unit="web"):
        return sorted(w["pid"] for w in daemon.workers(unit))

    def test_another_mode_is_taken_over_in_place_under_load(self):
        daemon = self.daemon({"web": web(workers=4, socket_more={"reuse_port": True})})
        before = self.pids(daemon)
        self.assertEqual(self.modes(daemon), {"hash"})
        load = self.load(daemon.port("web"), seconds=2)
        while load.is_running():
            for mode in ("random", "cpu", "least_loaded", "hash"):
                daemon.write("web", web(workers=4, socket_more={"reuse_port": True}, steering={"mode": mode}))
                self.assert_says(daemon.run("apply"), 0)
                self.assertEqual(self.modes(daemon), {mode})
        self.assert_clean(load.finish(), least=100)
        self.assertEqual(self.pids(daemon), before)

    def test_sockets_show_the_mode_and_the_part_of_each_shard(self):
        daemon = self.daemon({"web": web(workers=4, socket_more={"reuse_port": True}, steering={"mode": "cpu"})})
        self.assertEqual(sorted(s["weight"] for s in daemon.sockets("web")), [0] * 4 + [16384] * 4)
        self.assert_says(daemon.run("sockets", "web"), 0, "STEERING", "cpu 25%", "cpu 0%")
        self.assert_says(daemon.run("status", "web"), 0, "cpu 25%")
        self.assert_says(daemon.run("show", "web"), 0, 'mode = "cpu"')

    def test_the_mode_survives_the_death_of_holdfastd_and_its_workers_do(self):
        daemon = self.daemon({"web": web(workers=2, socket_more={"reuse_port": True}, steering={"mode": "cpu"})},
                             wrapper=(program("holdfast-keeper"), "--"))
        before = self.pids(daemon)
        victim = next(pid for pid in children_of(daemon.pid) if "holdfastd" in command_of(pid))
        os.kill(victim, signal.SIGKILL)
        wait_for("its end", lambda: has_ended(victim) or not os.path.exists("/proc/%d" % victim))
        self.assertEqual(self.pids(daemon), before)
        self.assertEqual(self.modes(daemon), {"cpu"})
        self.assertEqual(sorted(s["weight"] for s in daemon.sockets("web")), [0, 0, 32768, 32768])

    def test_by_hash_the_datagrams_of_a_client_come_to_one_worker(self):
        daemon = self.daemon({"dns": worker("udp", "say=READY=1", workers=4, sockets=udp())})
        port = daemon.port("dns")
        seen = set()
        for _ in range(64):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.settimeout(DEADLINE)
                answers = set()
                for _ in range(10):
                    client.sendto(b"?", ("127.0.0.1", port))
                    answers.add(client.recv(100))
                self.assertEqual(len(answers), 1)
                seen |= answers
        self.assertEqual(len(seen), 4)

    def test_a_pool_that_the_byte_cannot_name_is_refused(self):
        steering = {"mode": "payload_byte", "mask": 15}
        daemon = self.daemon({"dns": worker("udp", "say=READY=1", workers=7, sockets=udp(), steering=steering)})
        daemon.write("dns", worker("udp", "say=READY=1", workers=8, sockets=udp(), steering=steering))
        self.assert_says(daemon.run("apply"), 1, "16 in two generations")
        self.assert_says(daemon.run("scale", "dns", "8"), 1, "can name")
        self.assertEqual(len(daemon.workers("dns")), 7)


class Flows:
    """Clients of the example server: `count` flows of so many clients, who ask in step with the answers."""
    WINDOW = 32

    def __init__(self, story, port, clients=20):
        self.flows = []  # [client, ID, what its worker says]
        self.clients = []
        for _ in range(clients):
            client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            story.addCleanup(client.close)
            client.settimeout(DEADLINE)
            client.connect(("127.0.0.1", port))
            self.clients.append(client)
        self.story = story

    def open(self, count):
        """So many more; their workers' words."""
        says = []
        for first in range(0, count, self.WINDOW):
            client = self.clients[first // self.WINDOW % len(self.clients)]
            batch = min(self.WINDOW, count - first)
            for _ in range(batch):
                client.send(bytes([OPEN]) + bytes(8))
            for _ in range(batch):
                answer = client.recv(200)
                self.story.assertEqual(answer[0], OPEN)
                self.flows.append([client, answer[1:9], answer[9:]])
                says.append(answer[9:])
        return says

    def ask(self, flows, kind=DATA):
        """A datagram of each flow; each must come to the worker that it has."""
        for first in range(0, len(flows), self.WINDOW):
            batch = flows[first:first + self.WINDOW]
            client = self.clients[first // self.WINDOW % len(self.clients)]  # perhaps from another address than before
            for _, flow, _ in batch:
                client.send(bytes([kind]) + flow)
            answers = {}
            for _ in batch:
                answer = client.recv(200)
                answers[answer[1:9]] = (answer[0], answer[9:])
            for _, flow, says in batch:
                self.story.assertEqual(answers[flow], (kind, says))


class ByPayload(Story):
    def unit(self, probation="300ms"):
        with open(os.path.join(EXAMPLE, "quic-like.toml")) as file:
            text = file.read().replace("udp://127.0.0.1:8084", "udp://127.0.0.1:0").replace("[rollout]\n", '[rollout]\nprobation = "%s"\n' % probation)
        return text.replace("/usr/share/holdfast/examples/quic-like", EXAMPLE).replace('"/usr/bin/python3"', '"%s", "-I", "-S"' % PYTHON)

    def generation(self, says):
        return int(re.match(rb"generation=(\d+)", says)[1])

    def test_every_packet_of_10000_old_flows_reaches_its_generation_over_a_rollout(self):
        daemon = self.daemon({"quic": self.unit()})
        flows = Flows(self, daemon.port("quic"))
        flows.open(10000)
        old = list(flows.flows)
        self.assertEqual(len({says for _, _, says in old}), 4)
        self.assertEqual({self.generation(says) for _, _, says in old}, {1})
        restart = daemon.popen("restart", "quic")
        asked = 0
        new = []
        end = time.monotonic() + DEADLINE
        while len({self.generation(says) for says in new[-32:]} - {1}) == 0 or len(new) < 320:
            new += flows.open(32)  # at first to the old, then to the new generation
            batch = [old[(asked + i) % len(old)] for i in range(320)]
            flows.ask(batch)
            asked += len(batch)
            self.assertLess(time.monotonic(), end)
        flows.ask(old)  # the old one is parked now, and told to go in a moment
        wait_for("the old ones to be told to go", lambda: {w["state"] for w in daemon.workers("quic") if w["generation"] == 1} == {"draining"})
        flows.ask(old)
        flows.ask(flows.flows[len(old):])
        unknown = bytes([DATA, 77]) + b"nobody!"
        flows.clients[0].send(unknown)
        answer = flows.clients[0].recv(200)
        self.assertEqual((answer[0], self.generation(answer[9:])), (UNKNOWN, 2))
        flows.clients[0].send(bytes([DATA]))  # too short to name anybody, and for an answer
        self.assertIsNone(restart.poll())
        flows.ask([flow for flow in flows.flows if self.generation(flow[2]) == 1], CLOSE)
        said = restart.communicate(timeout=DEADLINE)
        self.assertEqual(restart.returncode, 0, said)
        self.assertEqual({w["generation"] for w in daemon.workers("quic")}, {2})
        late = old[0]  # its worker is gone: it is somebody's who serves
        late[0].send(bytes([DATA]) + late[1])
        answer = late[0].recv(200)
        self.assertEqual((answer[0], self.generation(answer[9:])), (UNKNOWN, 2))
        drops = [s["drops"] for s in daemon.sockets("quic")]
        self.assertEqual(set(drops), {0})
        flows.ask([flow for flow in flows.flows if self.generation(flow[2]) == 2], CLOSE)  # else their workers would wait for them

    def test_flows_come_back_to_the_old_generation_when_the_new_one_fails(self):
        daemon = self.daemon({"quic": self.unit("20s")})
        flows = Flows(self, daemon.port("quic"))
        flows.open(500)
        restart = daemon.popen("restart", "quic")
        daemon.wait_event("took-over", "quic")
        os.kill(next(w["pid"] for w in daemon.workers("quic") if w["generation"] == 2), signal.SIGKILL)
        restart.communicate(timeout=DEADLINE)
        self.assertEqual(restart.returncode, 1)
        flows.ask(flows.flows)
        self.assertEqual({self.generation(says) for says in flows.open(64)}, {1})
        flows.ask(flows.flows, CLOSE)


class LeastLoaded(Story):
    def pool(self):
        daemon = self.daemon({"web": web(workers=4, socket_more={"reuse_port": True}, steering={"mode": "least_loaded"})})
        wait_for("all to be ready", lambda: [w["state"] for w in daemon.workers("web")] == ["ready"] * 4)
        return daemon

    def weights(self, daemon):
        return {s["slot"]: s["weight"] for s in daemon.sockets("web") if s["bank"] == "green"}

    def test_nothing_new_goes_to_a_worker_that_is_stopped_and_it_gets_its_part_when_it_goes_on(self):
        daemon = self.pool()
        port = daemon.port("web")
        victim = next(w for w in daemon.workers("web") if w["slot"] == 2)
        load = self.load(port, seconds=4, rate=300)
        os.kill(victim["pid"], signal.SIGSTOP)
        try:
            wait_for("it to be spared", lambda: self.weights(daemon)[2] == 0)
            slowest = 0
            for _ in range(100):
                began = time.monotonic()
                self.assertEqual(http_get(port)[0], 200)
                slowest = max(slowest, time.monotonic() - began)
            self.assertLess(slowest, 1)
            self.assertEqual(self.weights(daemon)[2], 0)
        finally:
            os.kill(victim["pid"], signal.SIGCONT)
        wait_for("its part", lambda: self.weights(daemon)[2] == 16384)
        self.assert_clean(load.finish(), least=100)

    def wakeups(self, daemon):
        return int(status_of(daemon.pid)["voluntary_ctxt_switches"])

    def test_when_nobody_comes_nothing_wakes_holdfastd(self):
        daemon = self.pool()
        for _ in range(20):
            self.assertEqual(http_get(daemon.port("web"))[0], 200)

        def is_quiet():
            before = self.wakeups(daemon)
            time.sleep(0.5)  # nothing happens: there is no event to wait for
            return self.wakeups(daemon) == before
        wait_for("half a second without a wake-up", is_quiet)

    def test_all_stopped_lose_nothing_and_are_not_spared(self):
        daemon = self.pool()
        pids = [w["pid"] for w in daemon.workers("web")]
        answers = []
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            threads = [threading.Thread(target=lambda: answers.append(http_get(daemon.port("web"))[0])) for _ in range(40)]
            for thread in threads:
                thread.start()
            wait_for("all 40 in the queues", lambda: sum(s["queue"] for s in daemon.sockets("web")) == 40)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        for thread in threads:
            thread.join(DEADLINE)
        self.assertEqual(answers, [200] * 40)
        wait_for("equal parts", lambda: set(self.weights(daemon).values()) == {16384})


if __name__ == "__main__":
    main()
