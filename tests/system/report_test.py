# SPDX-License-Identifier: Apache-2.0
"""Every rollout leaves a report (P7): how long clients waited in the queue, and what became of the workers; and it is kept."""
import os
import time
import xml.etree.ElementTree

from harness import FACTOR, Story, connect, main, read_answer, tcp, wait_for, web, worker
from shape import Interface


class Report(Story):
    def queue(self, daemon):
        return daemon.sockets("web")[0]["queue"]

    def restart_with_waiting_clients(self, daemon, count):
        """A "replace" whose new worker boots only when we let it: (report, how long the clients waited at least, at most)."""
        command = daemon.popen("restart", "web", "--strategy", "replace", "--json")
        daemon.wait_event("worker-gone")
        begun = time.monotonic()
        clients = [connect(daemon.port("web")) for _ in range(count)]
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        wait_for("all to wait", lambda: self.queue(daemon) == count)
        waiting = time.monotonic()
        wait_for("the wait to be worth a report", lambda: time.monotonic() - waiting >= 0.5)
        released = time.monotonic()
        self.open_gate()
        for client in clients:
            with client:
                self.assertEqual(read_answer(client)[0], 200)
        ended = time.monotonic()
        command.communicate(timeout=30 * FACTOR)
        self.assertEqual(command.returncode, 0)
        return daemon.run("report", "web", "--json").json["report"], released - waiting, ended - begun

    def gated(self):
        """A daemon with a unit whose workers become ready while the gate is open, as it is."""
        self.gate = os.path.join(self.folder, "gate")
        self.open_gate()
        return self.daemon({"web": worker("wait=" + self.gate, "say=READY=1")})

    def open_gate(self):
        with open(self.gate, "w"):
            pass

    def test_the_report_says_how_deep_the_queue_was_and_how_long_somebody_waited(self):
        daemon = self.gated()
        os.unlink(self.gate)
        report, least, most = self.restart_with_waiting_clients(daemon, 7)
        listener, = report["listeners"]
        self.assertEqual(listener["queue_highest"], 7)
        # The rollout is done when the worker is ready: how many it has accepted by then is its own affair.
        self.assertLessEqual(listener["queue_after"], 7)
        self.assertEqual(listener["drops"], 0)
        self.assertGreaterEqual(listener["longest_wait_usec"], least * 1e6)
        # The looks before and after are 25 ms away, or as far as a busy machine lets them be.
        self.assertLessEqual(listener["longest_wait_usec"], most * 1e6 + 200e3 * FACTOR)
        self.assert_says(daemon.run("report", "web"), 0, "LONGEST WAIT", "≤ ", "done")

    def test_a_rollout_under_way_and_those_before_it_can_be_looked_at(self):
        daemon = self.gated()
        self.assert_says(daemon.run("report", "web"), 1, "none has ended yet")
        self.assert_says(daemon.run("rollout", "history", "web"), 0, "no rollout yet")
        self.assert_says(daemon.run("rollout", "status", "web"), 0, "no rollout yet")
        for _ in range(9):
            self.assert_says(daemon.run("restart", "web"), 0)
        history = daemon.run("rollout", "history", "web", "--json").json
        self.assertEqual([r["generation"] for r in history["rollouts"]], list(range(3, 11)))
        self.assertEqual(history["under_way"], [])
        self.assertEqual(daemon.run("report", "web", "--generation", "5", "--json").json["report"]["generation"], 5)
        self.assert_says(daemon.run("report", "web", "--generation", "2"), 1, "no report of a rollout to generation 2")
        os.unlink(self.gate)
        command = daemon.popen("restart", "web")
        daemon.wait_event("rollout-began", where=lambda event: event["generation"] == 11)
        self.assert_says(daemon.run("rollout", "status", "web"), 0, "generation 11", "under-way")
        self.open_gate()
        command.communicate(timeout=30 * FACTOR)
        self.assert_says(daemon.run("rollout", "status", "web"), 0, "generation 11", "done")

    def test_a_failed_rollout_is_status_1_and_its_reason_is_kept(self):
        daemon = self.daemon({"web": web()})
        daemon.write("web", web(arguments=["--crash-at-start"]))
        self.assertEqual(daemon.run("apply").status, 1)
        self.assert_says(daemon.run("rollout", "status", "web"), 1, "failed", "exit code 1")
        self.assert_says(daemon.run("rollout", "history", "web"), 0, "failed")
        self.assert_says(daemon.run("rollout", "pause", "web"), 1, "no rollout is under way")
        self.assert_says(daemon.run("rollout", "frobnicate", "web"), 2)

    def test_the_lanes_of_old_and_new_workers_are_there_and_as_the_interface_says(self):
        daemon = self.daemon({"web": web(workers=2)})
        self.assert_says(daemon.run("restart", "web"), 0)
        description = daemon.call("org.varlink.service.GetInterfaceDescription", interface="io.holdfast.Manager")["description"]
        interface = Interface(description)
        answer = daemon.call("Report", unit="web")
        self.assertEqual(interface.reply_differences("Report", answer), [])
        self.assertEqual(interface.reply_differences("History", daemon.call("History", unit="web")), [])
        lanes = answer["timeline"]["lanes"]
        phases = {(lane["generation"], lane["slot"]): [p["phase"] for p in lane["phases"]] for lane in lanes}
        self.assertEqual(set(phases), {(1, 0), (1, 1), (2, 0), (2, 1)})
        self.assert_is_a_picture_of(daemon, len(lanes))
        for slot in (0, 1):
            self.assertEqual(phases[1, slot], ["ready", "draining", "gone"])
            self.assertEqual(phases[2, slot], ["booting", "ready"])

    def holding(self, *arguments, **more):
        """A daemon with a unit whose workers never answer, and do not go before they are killed."""
        return self.daemon({"web": worker("say=READY=1", "hold", "ignore-term", *arguments, timeout_stop="300ms", **more)})

    def held(self, daemon, *targets):
        """Clients that are accepted."""
        clients = []
        for target in targets:
            clients.append(connect(target))
            self.addCleanup(clients[-1].close)
        wait_for("all to be accepted", lambda: sum(s["queue"] for s in daemon.sockets("web")) == 0)
        return clients

    def assert_cut(self, client):
        """The kernel has closed it, not we."""
        try:
            self.assertEqual(client.recv(1), b"")
        except ConnectionResetError:
            pass

    def cut_by_restart(self, daemon):
        """(connections cut, is that all, the event) of a restart whose one old worker is killed."""
        since = daemon.last_event()
        report = daemon.run("restart", "web", "--json").json["report"]
        self.assertEqual((report["verdict"], report["killed_at_deadline"]), ("done", 1))
        return report["cut_at_deadline"], report["cut_is_complete"], daemon.wait_event("drain-deadline-passed", since=since)["text"]

    def test_connections_that_are_open_at_the_deadline_are_counted(self):
        path = os.path.join(self.folder, "web.sock")
        daemon = self.holding(sockets=[tcp(), tcp("local", "unix:" + path)])
        port = daemon.port("web", "http")
        clients = self.held(daemon, port, port, path)
        cut, complete, text = self.cut_by_restart(daemon)
        self.assertEqual((cut, complete), (3, True))
        self.assertIn("did not end in time and is killed, with 3 connections open", text)
        for client in clients:
            self.assert_cut(client)
        self.assert_says(daemon.run("report", "web"), 0, "1 killed at the deadline, which cut 3 connections")

    def test_who_had_nothing_open_at_the_deadline_cut_nothing(self):
        daemon = self.holding()
        cut, complete, text = self.cut_by_restart(daemon)
        self.assertEqual((cut, complete), (0, True))
        self.assertIn("is killed, with no connections open", text)
        self.assert_says(daemon.run("report", "web"), 0, "1 killed at the deadline, which cut no connections")

    def apply_without(self, kept, dropped, target):
        """The report of an apply that drops a socket, by which the worker that is killed holds a connection."""
        actions = ("say=READY=1", "hold", "ignore-term")
        daemon = self.daemon({"web": worker(*actions, sockets=[kept, dropped], timeout_stop="300ms")})
        self.held(daemon, target(daemon))
        daemon.write("web", worker(*actions, sockets=[kept], timeout_stop="300ms"))
        self.assert_says(daemon.run("apply"), 0)
        return daemon.run("report", "web", "--json").json["report"]

    def test_what_came_in_by_a_socket_that_is_given_up_is_cut_too(self):
        path = os.path.join(self.folder, "web.sock")
        report = self.apply_without(tcp(), tcp("local", "unix:" + path), lambda daemon: path)
        self.assertEqual((report["killed_at_deadline"], report["cut_at_deadline"], report["cut_is_complete"]), (1, 1, True))

    def test_nobody_knows_any_more_which_port_a_socket_had_that_is_given_up(self):
        report = self.apply_without(tcp(), tcp("other"), lambda daemon: daemon.port("web", "other"))
        self.assertEqual((report["killed_at_deadline"], report["cut_at_deadline"], report["cut_is_complete"]), (1, None, False))

    def test_a_stop_says_what_it_cuts_too(self):
        daemon = self.holding()
        client, = self.held(daemon, daemon.port("web"))
        self.assert_says(daemon.run("stop", "web"), 0, "is killed, with 1 connection open")
        self.assert_cut(client)

    def test_of_each_shard_the_connections_are_its_worker_s(self):
        daemon = self.holding(sockets=[tcp(reuse_port=True)], workers=2)
        self.held(daemon, *[daemon.port("web")] * 5)
        report = daemon.run("restart", "web", "--json").json["report"]
        self.assertEqual((report["killed_at_deadline"], report["cut_at_deadline"], report["cut_is_complete"]), (2, 5, True))

    def test_probes_are_no_clients(self):
        # A probe of this worker is a connection that it holds, on the listener that it alone has.
        text = worker("say=READY=1", "hold", "ignore-term", timeout_stop="300ms")
        daemon = self.daemon({"web": text + '\n[health]\ntcp = true\ninterval = "10ms"\n'})
        self.held(daemon, daemon.port("web"))
        pid = daemon.pid_of("web")
        wait_for("many probes to be held", lambda: len(os.listdir("/proc/%d/fd" % pid)) > 20)
        self.assertEqual(self.cut_by_restart(daemon)[:2], (1, True))

    def test_shards_are_one_listener_of_the_report_and_who_is_kept_for_a_roll_back_is_parked(self):
        daemon = self.daemon({"web": web(workers=2, socket_more={"reuse_port": True}, rollout={"probation": "300ms"})})
        load = self.load(daemon.port("web"), seconds=1)
        self.assert_says(daemon.run("restart", "web"), 0)
        self.assert_clean(load.finish(), least=100)
        answer = daemon.call("Report", unit="web")
        listener, = answer["report"]["listeners"]
        self.assertEqual((listener["name"], listener["drops"]), ("http", 0))
        one = next(s["limit"] for s in daemon.sockets("web"))
        self.assertEqual(listener["limit"], 2 * one)
        self.assertGreaterEqual(listener["queue_highest"], listener["queue_before"])
        self.assertEqual(len(answer["timeline"]["queues"]), 1)
        lanes = [[p["phase"] for p in lane["phases"]] for lane in answer["timeline"]["lanes"] if lane["generation"] == 1]
        self.assertEqual(lanes, [["ready", "parked", "draining", "gone"]] * 2)
        # The old ones are told to go when the probation is over: that is no part of their draining.
        self.assertLess(answer["report"]["drained_usec"], answer["report"]["lasted_usec"] - 300e3)
        drawn = self.assert_is_a_picture_of(daemon, 4)
        rectangles = [one.get("class") for one in drawn.iter("{http://www.w3.org/2000/svg}rect")]
        self.assertEqual(rectangles.count("parked"), 2 + 1, "two workers and the legend")

    def assert_is_a_picture_of(self, daemon, lanes):
        file = os.path.join(self.folder, "timeline.svg")
        self.assert_says(daemon.run("timeline", "web", "--svg", file), 0)
        drawn = xml.etree.ElementTree.parse(file).getroot()
        groups = [group.get("class") for group in drawn.iter("{http://www.w3.org/2000/svg}g")]
        self.assertEqual((groups.count("lane"), groups.count("queue")), (lanes, 1))
        self.assert_says(daemon.run("report", "web"), 0, "ready after", "drained after", "done", "listen overflows", "listen drops",
                         "aborted on close", "upper bounds")
        self.assert_says(daemon.run("timeline", "web", "--svg", os.path.join(self.folder, "no", "such")), 1, "No such file")
        self.assert_says(daemon.run("timeline", "web"), 2, "--svg")
        return drawn


main()
