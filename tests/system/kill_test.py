# SPDX-License-Identifier: Apache-2.0
"""kill -9 of holdfastd under its keeper (promise P3): workers, sockets, timers, counters and rollouts go on, and nobody outside notices.
HOLDFAST_KILLS: how often it is killed under load (default 24 for each kind of socket)."""
import collections
import os
import random
import signal
import socket
import threading
import time

import accepting
from harness import FACTOR, NOBODY, PYTHON, Story, children_of, command_of, connect, main, program, state_of, tcp, unit_text, wait_for, web, worker

KILLS = int(os.environ.get("HOLDFAST_KILLS", "24"))


def pool(release="1", reuse_port=False, listen="127.0.0.1:0", strategy="rolling", **service):
    return unit_text([tcp(listen=listen, reuse_port=reuse_port)],
                     {"type": "notify", "workers": 3, "exec_start": [program("holdfast-webserver"), "--release", release],
                      "timeout_start": "%ds" % (20 * FACTOR), "start_limit_burst": 0, **service},
                     rollout={"strategy": strategy, "probation": "0s", "drain_timeout": "%ds" % (20 * FACTOR)})


class Kill(Story):
    def kept(self, units, **more):
        return self.daemon(units, wrapper=(program("holdfast-keeper"), "--"), **more)

    def workers_of(self, daemon):
        """Every process of the web server under this keeper, whoever is its parent."""
        return {pid for parent in (daemon.pid, *children_of(daemon.pid)) for pid in children_of(parent)
                if "holdfast-webserver" in command_of(pid) and state_of(pid) not in "Z"}

    def descriptors(self, pid):
        """What it has open, by kind, how many of each."""
        tables = {}
        for table in ("tcp", "unix", "netlink"):
            with open("/proc/%d/net/%s" % (pid, table), encoding="utf-8", errors="replace") as file:
                for row in file:
                    tables.update({word: table for word in row.split()})
        def kind(target):
            return tables.get(target[8:-1], "other") + " socket" if target.startswith("socket:[") else target.split(":")[0]
        return collections.Counter(kind(os.readlink("/proc/%d/fd/%s" % (pid, fd))) for fd in os.listdir("/proc/%d/fd" % pid))

    def test_workers_and_sockets_and_what_is_known_of_them_stay(self):
        daemon = self.kept({"web": web(workers=2)})
        before = daemon.unit("web")
        started = daemon.run("trace", "web").out
        self.kill(daemon)
        after = daemon.unit("web")
        for what in ("pid", "generation", "slot", "state", "worker"):
            self.assertEqual([w.get(what) for w in before["workers"]], [w.get(what) for w in after["workers"]], what)
        self.assertEqual(before["state"], after["state"])
        self.assertEqual(before["sockets"][0]["bound"] if "bound" in before["sockets"][0] else before["sockets"][0],
                         after["sockets"][0]["bound"] if "bound" in after["sockets"][0] else {**after["sockets"][0], "fd": before["sockets"][0].get("fd")})
        self.assertIn(started.strip().splitlines()[-1], daemon.run("trace", "web").out)
        self.assert_says(daemon.run("restart", "web"), 0, "is done")
        self.assertEqual([w["generation"] for w in daemon.unit("web")["workers"]], [2, 2])
        report = daemon.run("report", "web", "--json").json["report"]
        self.kill(daemon)
        self.assertEqual(daemon.run("report", "web", "--json").json["report"], report)

    def test_as_an_ordinary_user_too(self):
        self.needs_nobody()
        daemon = self.kept({"web": web(workers=2)}, folder="nobody", uid=NOBODY)
        before = [w["pid"] for w in daemon.unit("web")["workers"]]
        self.kill(daemon)
        self.assertEqual([w["pid"] for w in daemon.unit("web")["workers"]], before)
        os.kill(before[0], signal.SIGKILL)
        wait_for("another one", lambda: [w["state"] for w in daemon.unit("web")["workers"] if w["pid"] != before[0]] == ["ready"] * 2)
        self.assertIn("killed by SIGKILL", daemon.run("events").text)

    def test_a_worker_that_was_adopted_and_dies_is_replaced_and_its_status_known(self):
        daemon = self.kept({"web": web(restart_delay="10ms")})
        self.kill(daemon)
        victim = daemon.unit("web")["workers"][0]["pid"]
        os.kill(victim, signal.SIGKILL)
        wait_for("another worker", lambda: [w["pid"] for w in daemon.unit("web")["workers"] if w["state"] == "ready"] not in ([], [victim]))
        self.assertIn("killed by SIGKILL", daemon.run("events").text)

    def test_what_a_worker_says_while_nobody_listens_is_heard_later(self):
        daemon = self.kept({"slow": web(arguments=("--boot-delay", "%dms" % (600 * FACTOR)))}, active=False)
        wait_for("a worker", lambda: self.workers_of(daemon))
        os.kill(daemon.pid, signal.SIGSTOP)  # so that nobody starts the next one
        os.kill(self.supervisor(daemon), signal.SIGKILL)
        waiting = time.monotonic() + 0.9 * FACTOR
        wait_for("the worker's word", lambda: time.monotonic() > waiting)
        os.kill(daemon.pid, signal.SIGCONT)
        daemon.wait_whole("slow")
        self.assertEqual(len(self.workers_of(daemon)), 1)

    def test_a_unit_whose_file_is_gone_meanwhile_is_drained(self):
        daemon = self.kept({"web": web(), "other": web()})
        os.kill(daemon.pid, signal.SIGSTOP)
        os.kill(self.supervisor(daemon), signal.SIGKILL)
        daemon.remove("other")
        os.kill(daemon.pid, signal.SIGCONT)
        wait_for("its end", lambda: len(self.workers_of(daemon)) == 1)
        wait_for("its unit's end", lambda: [u["name"] for u in daemon.call("List")["units"]] == ["web"])

    def test_a_file_that_has_changed_meanwhile_is_for_an_apply(self):
        daemon = self.kept({"web": web(release="1")})
        pid = daemon.unit("web")["workers"][0]["pid"]
        daemon.write("web", web(release="2"))
        self.kill(daemon)
        self.assertEqual(daemon.unit("web")["workers"][0]["pid"], pid)
        self.assertIn("restart", daemon.run("plan").text)
        self.assert_says(daemon.run("apply"), 0)
        self.assertNotEqual(daemon.unit("web")["workers"][0]["pid"], pid)

    def test_a_rollout_half_way_goes_on(self):
        daemon = self.kept({"web": pool("1", workers=2, exec_start=[program("holdfast-webserver"), "--boot-delay", "%dms" % (300 * FACTOR)])})
        load = self.load(daemon.port("web"), seconds=3)
        command = daemon.popen("restart", "web")
        wait_for("the second generation", lambda: any(w["generation"] == 2 for w in daemon.unit("web")["workers"]))
        for _ in range(3):  # who asked goes on waiting, and begins nothing twice
            self.kill(daemon)
            daemon.call("Version")
        self.assertIn("generation 2 is done", command.communicate(timeout=30 * FACTOR)[0])
        self.assertEqual(command.returncode, 0)
        self.assertEqual([(w["generation"], w["state"]) for w in daemon.unit("web")["workers"]], [(2, "ready")] * 2)
        self.assert_clean(load.finish())
        report = wait_for("its report", lambda: daemon.run("report", "web", "--json").json.get("report"))
        self.assertEqual((report["verdict"], report["generation"], report["previous_generation"]), ("done", 2, 1))

    def test_a_probation_goes_on_and_rolls_back(self):
        daemon = self.kept({"web": web(release="good", rollout={"probation": "60s"}, restart="on-failure")})
        daemon.write("web", web(release="bad", rollout={"probation": "60s"}, restart="on-failure"))
        command = daemon.popen("apply")
        wait_for("the probation", lambda: [w["state"] for w in daemon.unit("web")["workers"]] == ["ready", "ready"])
        self.kill(daemon)
        bad = [w["pid"] for w in daemon.unit("web")["workers"] if w["generation"] == 2]
        os.kill(bad[0], signal.SIGSEGV)
        wait_for("the way back", lambda: [w["generation"] for w in daemon.unit("web")["workers"]] == [1])
        command.communicate(timeout=30 * FACTOR)
        self.assertEqual(daemon.run("report", "web", "--json").json["report"]["verdict"], "failed")

    def test_a_stop_goes_on(self):
        daemon = self.kept({"deaf": worker("say=READY=1", "ignore-term", timeout_stop="%ds" % (2 * FACTOR))})
        command = daemon.popen("stop", "deaf")
        daemon.wait_event("stopping", "deaf")
        self.kill(daemon)
        command.communicate(timeout=30 * FACTOR)
        wait_for("its end", lambda: daemon.unit("deaf")["state"] == "inactive")

    def tampered(self, messages, units, **more):
        """A holdfastd that goes on after a kill with these said to its keeper before, once there is a file "damage":
        (text, content of a memfd or None)."""
        script = os.path.join(self.folder, "holdfastd")
        with open(script, "w", encoding="utf-8") as file:
            file.write("#!%s\n"
                       "import array, os, socket, sys\n"
                       "if os.path.exists(%r):\n"
                       "    sock = socket.socket(fileno=os.dup(int(os.environ['HOLDFAST_KEEPER'])))\n"
                       "    for text, content in %r:\n"
                       "        fds = []\n"
                       "        if content is not None:\n"
                       "            fds = [os.memfd_create('damaged')]\n"
                       "            os.write(fds[0], content)\n"
                       "        sock.sendmsg([text.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))] if fds else [])\n"
                       "os.execv(%r, [%r, *sys.argv[1:]])\n"
                       % (PYTHON, self.folder + "/damage", list(messages), program("holdfastd"), program("holdfastd")))
        os.chmod(script, 0o755)
        return self.daemon(units, wrapper=(program("holdfast-keeper"), "--", script), command=True, **more)

    def damage(self, daemon):
        with open(self.folder + "/damage", "w", encoding="utf-8"):
            pass
        os.kill(self.supervisor(daemon), signal.SIGKILL)

    def damaged(self, *messages):
        daemon = self.tampered(messages, {"web": web(workers=2)})
        before = [w["pid"] for w in daemon.unit("web")["workers"]]
        port = daemon.port("web")
        load = self.load(port, seconds=2)
        self.damage(daemon)
        wait_for("the workers that were there", lambda: [w["pid"] for w in daemon.unit("web")["workers"] if w["state"] == "ready"] == before)
        self.assertEqual(daemon.port("web"), port)
        self.assert_says(daemon.run("restart", "web"), 0, "is done")
        wait_for("the new ones alone", lambda: len(self.workers_of(daemon)) == 2)
        self.assert_clean(load.finish())
        return daemon

    def test_a_damaged_state_is_rebuilt_and_told(self):
        for garbage in (b"", b"holdfast-unit version=1 name=web\nunit goal=sideways\n", b"\xff" * 5000, b"holdfast-unit version=99 name=web\nunit goal=up\n"):
            with self.subTest(garbage=garbage[:40]):
                daemon = self.damaged(("put\nstate web", garbage))
                self.assertIn("damaged, or of another version", daemon.run("events").text)
                os.unlink(self.folder + "/damage")
                # What was taken for it is saved.
                pids = sorted(w["pid"] for w in daemon.unit("web")["workers"])
                daemon.write("web", web(workers=3))
                self.kill(daemon)
                self.assertEqual(sorted(w["pid"] for w in daemon.unit("web")["workers"]), pids)
                self.assertNotIn("was not saved", daemon.log_text())
                self.assert_says(daemon.run("plan"), 0, "workers")
                daemon.end()

    def shrunk(self, left):
        """Four workers on shards, whose state and text are lost, and their file has two; so many of them are left."""
        daemon = self.tampered([("put\nstate web", b"?"), ("drop\nspec web 1", None)],
                               {"web": pool(reuse_port=True, workers=4)})
        daemon.wait_whole("web")
        workers = {w["slot"]: w["pid"] for w in daemon.unit("web")["workers"]}
        port = daemon.port("web")
        os.kill(self.supervisor(daemon), signal.SIGSTOP)  # who dies now is not missed
        for slot in range(left, 4):
            os.kill(workers[slot], signal.SIGKILL)
        waiting = [socket.create_connection(("127.0.0.1", port), 30 * FACTOR) for _ in range(40)]
        daemon.write("web", pool(reuse_port=True, workers=2))
        self.damage(daemon)
        for client in waiting:
            with client:
                client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                self.assertIn(b" 200 ", client.recv(100))
        load = self.load(port, seconds=2)
        self.assert_says(daemon.run("restart", "web"), 0, "is done")
        wait_for("the two of the file", lambda: sorted(w["slot"] for w in daemon.unit("web")["workers"]) == [0, 1])
        self.assert_clean(load.finish())
        self.assertNotIn("broken", daemon.log_text())

    def test_a_lost_state_of_a_unit_with_accept(self):
        daemon = self.tampered([("put\nstate web", b"?")], {"web": "[unit]\nstart_at_boot = false\n" + accepting.unit(accepting.ECHO)}, active=False)
        self.assert_says(daemon.run("start", "web"), 0)
        port = daemon.port("web")
        with connect(port) as client:
            self.assertTrue(accepting.echoes(client))
            self.damage(daemon)
            wait_for("the next holdfastd", lambda: daemon.call("Version")["starts"] == 2)
            self.assertEqual([i["state"] for i in daemon.unit("web")["connections"]["instances"]], ["running"])
            with connect(port) as other:
                self.assertTrue(accepting.echoes(other))
            self.assertTrue(accepting.echoes(client))

    def test_a_lost_state_of_a_unit_that_stops(self):
        daemon = self.tampered([("put\nstate deaf", b"?")], {"deaf": "[unit]\nstart_at_boot = false\n" + worker("say=READY=1", "ignore-term")}, active=False)
        self.assert_says(daemon.run("start", "deaf"), 0)
        command = daemon.popen("stop", "deaf")
        daemon.wait_event("stopping", "deaf")
        pid = daemon.unit("deaf")["workers"][0]["pid"]
        self.damage(daemon)
        wait_for("the next holdfastd", lambda: daemon.call("Version")["starts"] == 2)
        os.kill(pid, signal.SIGKILL)
        command.communicate(timeout=30 * FACTOR)
        wait_for("its end", lambda: daemon.unit("deaf")["state"] == "inactive")

    def test_a_lost_state_of_workers_that_have_reloaded(self):
        daemon = self.tampered([("put\nstate web", b"?")], {"web": worker("reload=" + self.folder + "/reloads", "say=READY=1", type="notify-reload", workers=2)})
        daemon.wait_whole("web")
        before = sorted(w["pid"] for w in daemon.unit("web")["workers"])
        self.assert_says(daemon.run("reload", "web"), 0)
        self.damage(daemon)
        wait_for("the next holdfastd", lambda: daemon.call("Version")["starts"] == 2)
        self.assertEqual(sorted(w["pid"] for w in daemon.unit("web")["workers"] if w["state"] == "ready"), before)

    def test_a_lost_state_of_more_workers_than_the_file_has(self):
        self.shrunk(4)

    def test_a_lost_state_of_more_shards_than_the_file_has(self):
        self.shrunk(2)

    def test_a_lost_state_of_a_pool_of_which_one_is_left(self):
        self.shrunk(1)

    def test_sockets_are_found_by_their_addresses_where_nothing_was_saved_of_them(self):
        self.damaged(("drop\nsockets web", None))

    def test_all_that_was_saved_may_be_gone(self):
        self.damaged(("drop\nsockets web\nstate web\nspec web 1\npin web 1", None))

    def test_fields_of_a_newer_version_are_passed_over(self):
        # A state that an older holdfastd could have written, with words that only a newer one knows.
        self.damaged(("put\nspec web 7", b"[service]\nnonsense = true\n"), ("put\nfuture web 1", b"?"))

    def storm(self, unit, target, scale=True, seconds=None):
        """Kills at random moments under load, while everything is asked of it; then all is as if nothing had been."""
        rng = random.Random(os.environ.get("HOLDFAST_SEED", "1"))
        daemon = self.kept({"web": unit("1")})
        if target is None:
            target = daemon.port("web")
        daemon.run("restart", "web")
        self.kill(daemon)
        daemon.wait_whole("web")
        held = self.descriptors(daemon.pid)
        own = self.descriptors(self.supervisor(daemon))
        load = self.load(target, seconds=KILLS * 0.25 + 2, rate=300)
        done, failed = threading.Event(), []

        def ask():
            release = 1
            while not done.is_set():
                for words in (("restart", "web"), ("scale", "web", "5"), ("apply",), ("scale", "web", "2"), ("restart", "web", "--strategy", "overlap")):
                    if words == ("apply",):
                        release += 1
                        daemon.write("web", unit(str(release)))
                    if done.is_set() or (words[0] == "scale" and not scale):
                        continue
                    answer = daemon.run(*words, deadline=60 * FACTOR)
                    if answer.status != 0:
                        failed.append(answer)

        asker = threading.Thread(target=ask)
        asker.start()
        answers = []
        try:
            for _ in range(KILLS):
                time.sleep(rng.uniform(0.02, 0.4))
                self.kill(daemon)
                begun = time.monotonic()
                daemon.unit("web")
                answers.append(time.monotonic() - begun)
        finally:
            done.set()
            asker.join()
        self.assert_clean(load.finish())
        self.assertEqual(failed, [], "what was asked meanwhile was done, and waited for")
        self.assertEqual(daemon.run("scale", "web", "3", deadline=60 * FACTOR).status, 0)
        daemon.wait_whole("web")
        workers = wait_for("three workers", lambda: [w for w in (daemon.unit("web")["workers"],) if len(w) == 3])[0]
        wait_for("no other process", lambda: self.workers_of(daemon) == {w["pid"] for w in workers})
        daemon.run("restart", "web")
        self.kill(daemon)
        daemon.wait_whole("web")
        self.assertEqual(self.descriptors(daemon.pid), held, "what the keeper holds")
        self.assertEqual(self.descriptors(self.supervisor(daemon)) - own, {}, "what holdfastd has open")
        answers.sort()
        print("  status answers after %d ms (median), %d ms (longest)" % (answers[len(answers) // 2] * 1000, answers[-1] * 1000))

    def test_kills_under_load_cost_nobody_anything(self):
        self.storm(pool, None)

    def test_kills_under_load_cost_nobody_anything_on_shards(self):
        self.storm(lambda release: pool(release, reuse_port=True), None)

    def test_kills_under_load_cost_nobody_anything_on_a_unix_socket(self):
        path = os.path.join(self.folder, "web.sock")
        self.storm(lambda release: pool(release, listen="unix:" + path), path)


if __name__ == "__main__":
    main()
