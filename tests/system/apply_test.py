# SPDX-License-Identifier: Apache-2.0
"""`plan` says and `apply` does what changed in the unit files, while everything else goes on (P1, P4)."""
import os
import signal
import socket

from harness import FACTOR, Story, connect, free_port, http_get, main, read_answer, wait_for, web

REQUEST = b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n"


def steps_of(answer):
    return {step["unit"]: step for step in answer.json["units"]}


class Apply(Story):
    def inode(self, daemon, unit, fd):
        return os.readlink("/proc/%d/fd/%d" % (daemon.pid_of(unit), fd))

    def test_units_come_change_and_go_while_another_one_serves(self):
        daemon = self.daemon({"bystander": web(), "change": web(release="1"), "go": web()})
        pid, held = daemon.pid_of("bystander"), daemon.sockets("bystander")
        load = self.load(daemon.port("bystander"), seconds=1.5)
        gone_port, before = daemon.port("go"), daemon.descriptors()
        for turn in range(3):
            daemon.write("come", web(release="new"))
            daemon.write("change", web(release="2.%d" % turn))
            daemon.remove("go")
            plan = daemon.run("plan", "--json")
            self.assertEqual({unit: step["action"] for unit, step in steps_of(plan).items()},
                             {"bystander": "keep", "change": "restart", "come": "add", "go": "remove"})
            self.assert_says(daemon.run("plan"), 0, "come", "change", "go", "release")
            applied = daemon.run("apply", "--json")
            self.assert_says(applied, 0)
            self.assertEqual({unit: step["action"] for unit, step in steps_of(applied).items()},
                             {unit: step["action"] for unit, step in steps_of(plan).items()})
            self.assertIn("release=2.%d" % turn, http_get(daemon.port("change"))[1])
            self.assertIn("release=new", http_get(daemon.port("come"))[1])
            self.assertEqual(daemon.run("status", "go").status, 4)
            with self.assertRaises(ConnectionRefusedError):
                connect(gone_port)
            self.assert_says(daemon.run("plan"), 0, "Nothing would change")
            daemon.remove("come")
            daemon.write("go", web())
            self.assert_says(daemon.run("apply"), 0)
            gone_port = daemon.port("go")
        self.assert_clean(load.finish(), least=100)
        self.assertEqual((daemon.pid_of("bystander"), daemon.sockets("bystander")[0]["fd"]), (pid, held[0]["fd"]))
        # One more: the program of the release before, which `rollout undo` would start.
        wait_for("as few descriptors as before", lambda: daemon.descriptors() <= before + 1)

    def test_an_unchanged_listener_keeps_its_descriptor_while_its_unit_changes(self):
        path = os.path.join(self.folder, "w.sock")
        daemon = self.daemon({"web": web(["127.0.0.1:0", "unix:" + path])})
        held = daemon.sockets("web")
        inodes = [self.inode(daemon, "web", 3), self.inode(daemon, "web", 4)]
        daemon.write("web", web(["127.0.0.1:0", "unix:" + path, "127.0.0.2:0"], release="2", socket_more={"backlog": 77}))
        step = steps_of(daemon.run("plan", "--json"))["web"]
        self.assertEqual([(l["name"], l["action"]) for l in step["listeners"]], [("http", "change"), ("http1", "change"), ("http2", "add")])
        self.assert_says(daemon.run("apply"), 0)
        after = daemon.sockets("web")
        self.assertEqual([(s["fd"], s["address"]) for s in after[:2]], [(s["fd"], s["address"]) for s in held])
        self.assertEqual([self.inode(daemon, "web", 3), self.inode(daemon, "web", 4)], inodes)
        self.assertEqual(after[0]["limit"], 77)
        self.assertIn("release=2", http_get(after[2]["port"] and path)[1])

    def test_changes_under_load_lose_nothing(self):
        daemon = self.daemon({"web": web()})
        port = daemon.port("web")
        load, count = self.load(port, seconds=1.5), 0
        while load.is_running():
            count += 1
            daemon.write("web", web(["127.0.0.1:0"] + ["127.0.0.%d:0" % (2 + i) for i in range(count % 3)], release=str(count)))
            self.assert_says(daemon.run("apply"), 0)
            self.assertEqual(daemon.port("web"), port)
        self.assert_clean(load.finish(), least=100)

    def test_a_listener_that_is_dropped_serves_everyone_who_came_before(self):
        linger = ["--linger", "%ds" % (5 * FACTOR)]  # an accepted connection may be that slow with its request
        daemon = self.daemon({"web": web(["127.0.0.1:0", "127.0.0.2:0"], arguments=linger)})
        leaving = next(s["port"] for s in daemon.sockets("web") if s["name"] == "http1")
        load = self.load("127.0.0.2:%d" % leaving, seconds=1)
        clients = [socket.create_connection(("127.0.0.2", leaving), 20 * FACTOR) for _ in range(50)]
        daemon.write("web", web(["127.0.0.1:0"], arguments=linger))
        applying = daemon.popen("apply")
        wait_for("the listener to be unlisted", lambda: len(daemon.sockets("web")) == 1)
        for client in clients:  # each was established before apply was called
            client.sendall(REQUEST)
            with client:
                self.assertEqual(read_answer(client)[0], 200)
        out, err = applying.communicate(timeout=20 * FACTOR)
        self.assertEqual(applying.returncode, 0, out + err)
        # Who comes too late is refused; nobody who was let in is turned away.
        failures = load.finish()["failures"]
        self.assertEqual({kind for kind, count in failures.items() if count} - {"refused"}, set(), failures)
        self.assertEqual([s["name"] for s in daemon.sockets("web")], ["http"])
        self.assertEqual(http_get(daemon.port("web"))[0], 200)

    def test_a_removed_unit_serves_everyone_who_came_before(self):
        daemon = self.daemon({"web": web(), "stay": web()})
        clients = [connect(daemon.port("web")) for _ in range(50)]
        daemon.remove("web")
        applying = daemon.popen("apply")
        for client in clients:
            client.sendall(REQUEST)
            with client:
                self.assertEqual(read_answer(client)[0], 200)
        out, err = applying.communicate(timeout=20 * FACTOR)
        self.assertEqual(applying.returncode, 0, out + err)
        self.assertEqual([u["name"] for u in daemon.call("List")["units"]], ["stay"])

    def test_a_unit_whose_file_breaks_goes_on_as_it_was(self):
        daemon = self.daemon({"web": web(), "other": web(release="1")})
        pid = daemon.pid_of("web")
        daemon.write("web", web() + "typo_here = 1\n")
        daemon.write("other", web(release="2"))
        plan = daemon.run("plan")
        self.assert_says(plan, 1, "typo_here", "web.toml:")
        step = steps_of(daemon.run("plan", "--json"))["web"]
        self.assertEqual(step["action"], "bad")
        self.assertEqual((step["diagnostics"][0]["severity"], os.path.basename(step["diagnostics"][0]["file"])), ("error", "web.toml"))
        self.assertGreater(step["diagnostics"][0]["line"], 0)
        self.assert_says(daemon.run("apply"), 1, "typo_here")
        self.assertIn("release=2", http_get(daemon.port("other"))[1], "the good one is applied all the same")
        self.assertEqual(daemon.pid_of("web"), pid)
        self.assertEqual(http_get(daemon.port("web"))[0], 200)
        self.assert_says(daemon.run("status", "web"), 0, "its file has errors now")
        self.assert_says(daemon.run("restart", "web"), 0)  # of what is loaded
        daemon.write("web", web())
        self.assert_says(daemon.run("apply"), 0)
        self.assertIsNone(daemon.unit("web")["problem"])

    def test_a_bad_unit_that_was_never_loaded_is_shown_with_its_errors_and_mended(self):
        daemon = self.daemon({"web": "[service]\nexec_strat = ['/bin/true']\n", "good": web()}, active=["good"])
        self.assertEqual(daemon.unit("web")["state"], "bad")
        self.assert_says(daemon.run("start", "web"), 1, "exec_strat", "exec_start", "web.toml:2:1")
        daemon.write("web", web())
        self.assert_says(daemon.run("apply"), 0)
        daemon.wait_state("web", "active")

    def test_apply_with_a_port_in_use_changes_nothing_of_that_unit(self):
        daemon = self.daemon({"web": web(release="1"), "other": web(release="1")})
        pid, held = daemon.pid_of("web"), daemon.sockets("web")
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            daemon.write("web", web(["127.0.0.1:0", "127.0.0.2:0", "127.0.0.1:%d" % holder.getsockname()[1]], release="2"))
            daemon.write("other", web(release="2"))
            answer = daemon.run("apply")
            self.assert_says(answer, 1, "web", "is held by", "nothing is changed, what runs goes on")
        self.assertEqual((daemon.pid_of("web"), daemon.sockets("web")), (pid, held))
        self.assertIn("release=1", http_get(daemon.port("web"))[1])
        self.assertIn("release=2", http_get(daemon.port("other"))[1])
        self.assert_says(daemon.run("apply"), 0)
        self.assertIn("release=2", http_get(daemon.port("web"))[1])

    def test_sighup_is_apply(self):
        daemon = self.daemon({"web": web(release="1"), "go": web()})
        daemon.write("web", web(release="2"))
        daemon.write("come", web())
        daemon.remove("go")
        os.kill(daemon.pid, signal.SIGHUP)
        daemon.wait_event("applied")
        self.assertIn("release=2", http_get(daemon.port("web"))[1])
        self.assertEqual(sorted(u["name"] for u in daemon.call("List")["units"]), ["come", "web"])

    def test_a_unit_folder_that_vanishes_removes_nothing(self):
        daemon = self.daemon({"web": web()})
        os.rename(daemon.units, daemon.units + ".away")
        self.assert_says(daemon.run("apply"), 1, daemon.units)
        self.assertEqual(http_get(daemon.port("web"))[0], 200)
        os.rename(daemon.units + ".away", daemon.units)
        self.assert_says(daemon.run("apply"), 0)
        self.assertEqual(daemon.unit("web")["generation"], 1)

    def test_a_stopped_unit_takes_a_change_over_and_stays_stopped(self):
        daemon = self.daemon({"web": web(release="1")})
        self.assert_says(daemon.run("stop", "web"), 0)
        daemon.write("web", web(["127.0.0.1:0", "127.0.0.2:0"], release="2"))
        self.assert_says(daemon.run("apply"), 0)
        self.assertEqual((daemon.unit("web")["state"], len(daemon.sockets("web"))), ("inactive", 2))
        self.assert_says(daemon.run("start", "web"), 0)
        self.assertIn("release=2", http_get(daemon.port("web"))[1])

    def test_a_unit_that_is_not_to_start_at_boot_is_held_and_waits(self):
        text = web() + "[unit]\nstart_at_boot = false\n"
        daemon = self.daemon({"web": text}, active=False)
        self.assertEqual((daemon.unit("web")["state"], daemon.sockets("web")[0]["state"]), ("inactive", "held"))
        with connect(daemon.port("web")) as client:
            client.sendall(REQUEST)
            self.assert_says(daemon.run("start", "web"), 0)
            self.assertEqual(read_answer(client)[0], 200)

    def test_applies_at_once_from_several_commands_all_end(self):
        daemon = self.daemon({"web": web()})
        processes = []
        for turn in range(5):
            daemon.write("web", web(release=str(turn)))
            daemon.write("unit%d" % turn, web())
            processes.append(daemon.popen("apply"))
        for process in processes:
            out, err = process.communicate(timeout=20 * FACTOR)
            self.assertIn(process.returncode, (0, 1), out + err)  # 1: superseded by the next
        self.assert_says(daemon.run("apply"), 0)
        self.assertIn("release=4", http_get(daemon.port("web"))[1])

    def test_an_address_moves_between_running_units_under_load_and_nobody_is_lost(self):
        """It was refused: the address was in use by holdfastd itself."""
        port, other = free_port(), free_port()
        first, second = "127.0.0.1:%d" % port, "127.0.0.1:%d" % other
        daemon = self.daemon({"a": web([first, "127.0.0.2:0"], release="a"), "b": web(second, release="b")})
        loads = [self.load(target, seconds=2) for target in (port, other)]
        daemon.write("a", web("127.0.0.2:0", release="a"))
        daemon.write("b", web([second, first], release="b"))
        self.assert_says(daemon.run("plan"), 0, "comes from unit a", "goes to unit b")
        self.assert_says(daemon.run("apply"), 0)
        self.assertIn("release=b", http_get(port)[1])
        self.assert_says(daemon.run("plan"), 0, "Nothing would change")
        daemon.write("a", web(second, release="a"))  # and now they swap, in a way
        daemon.write("b", web(first, release="b"))
        self.assert_says(daemon.run("apply"), 0)
        self.assertIn("release=a", http_get(other)[1])
        self.assertIn("release=b", http_get(port)[1])
        daemon.write("a", web(first, release="a"))
        daemon.write("b", web(second, release="b"))
        self.assert_says(daemon.run("apply"), 0)
        for load in loads:
            self.assert_clean(load.finish(), least=100)
        self.assertIn("release=a", http_get(port)[1])

    def test_an_address_that_covers_another_takes_its_place_under_load(self):
        """"80" to "0.0.0.0:80" of a running unit was refused, for the unit's own socket."""
        self.needs_root("only root can hide a socket until its workers are ready")
        port = free_port()
        daemon = self.daemon({"web": web(str(port), release="0")})
        load = self.load(port, seconds=2, keep_alive=False)
        for turn, host in enumerate(("0.0.0.0:", "127.0.0.1:", "[::]:", "0.0.0.0:", "")):
            daemon.write("web", web(host + str(port), release=str(turn)))
            self.assert_says(daemon.run("plan"), 0, "takes the place of")
            self.assert_says(daemon.run("apply"), 0)
            self.assertIn("release=%d" % turn, http_get(port)[1])
            self.assert_says(daemon.run("plan"), 0, "Nothing would change")
        self.assert_clean(load.finish(), least=100)

    def test_what_waits_for_a_new_bind_is_said_until_then(self):
        """One plan said it, and after the apply nobody did."""
        daemon = self.daemon({"web": web()})
        daemon.write("web", web(socket_more={"free_bind": True}))
        for verb in ("plan", "apply", "plan"):
            self.assert_says(daemon.run(verb), 0, "when it is bound next: free_bind false -> true")
        self.assert_says(daemon.run("status", "web"), 0, "when it is bound next: free_bind false -> true")
        daemon.write("web", web())
        self.assert_says(daemon.run("apply"), 0)
        self.assert_says(daemon.run("plan"), 0, "Nothing would change")

    def test_what_serves_keeps_its_sockets_while_the_file_is_broken_and_changed_again(self):
        """After a failed rollout a second change compared with the broken file, not with what serves, and closed a socket of it."""
        daemon = self.daemon({"web": web(["127.0.0.1:0", "127.0.0.2:0"])})
        pid, port = daemon.pid_of("web"), daemon.port("web")
        broken = {"exec_start": ["/nonexistent/program"]}
        daemon.write("web", web("127.0.0.1:0", **broken))
        self.assert_says(daemon.run("apply"), 1)
        daemon.write("web", web("127.0.0.1:0", timeout_stop="7s", **broken))
        self.assertEqual(steps_of(daemon.run("plan", "--json"))["web"]["action"], "restart")
        self.assert_says(daemon.run("apply"), 1)
        self.assertEqual((daemon.pid_of("web"), daemon.port("web"), len(daemon.sockets("web"))), (pid, port, 2))
        http_get(port)


if __name__ == "__main__":
    main()
