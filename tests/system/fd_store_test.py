# SPDX-License-Identifier: Apache-2.0
"""FDSTORE=1: what workers leave for the next ones; also when holdfastd is killed or replaced meanwhile.
HOLDFAST_STORE_KILLS: how often it is killed (default 20); HOLDFAST_FAULTS: at how many of each system call (default 4)."""
import json
import os
import select
import shutil
import signal
import socket
import time

from harness import DEADLINE, FACTOR, HERE, PYTHON, Story, main, program, state_of, tcp, unit_text, wait_for

STORE_WORKER = os.path.join(HERE, "store_worker.py")
FAULTS = int(os.environ.get("HOLDFAST_FAULTS", "4"))
KILLS = int(os.environ.get("HOLDFAST_STORE_KILLS", "20"))


class Worker:
    """One process of the unit, and the conversation with it."""

    def __init__(self, story, connection):
        self.connection = connection
        hello = json.loads(connection.recv(1 << 16))
        self.pid, self.names, self.fds = hello["pid"], hello["names"], []
        while len(self.fds) < len(self.names):
            _, fds, _, _ = socket.recv_fds(connection, 10, 253)
            self.fds += fds
        story.fds += self.fds

    def say(self, text, *fds, barrier=True):
        """Says it in its own name; heard when this returns, unless `barrier` is false."""
        socket.send_fds(self.connection, [json.dumps({"say": text, "barrier": barrier}).encode()], fds)
        assert self.connection.recv(10) == b"done"

    def store(self, *fds, name=None, more=""):
        self.say("FDSTORE=1" + ("" if name is None else "\nFDNAME=" + name) + more, *fds)

    def exit(self, text, *fds, code=3):
        """Says it, and ends at once."""
        socket.send_fds(self.connection, [json.dumps({"say": text, "exit": code}).encode()], fds)

    def stored(self):
        """[(name, what is in it)] of what it found behind its listener."""
        return [(name, os.pread(fd, 1000, 0).decode()) for name, fd in zip(self.names[1:], self.fds[1:])]


class FdStore(Story):
    def setUp(self):
        super().setUp()
        self.fds = []
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(os.path.join(self.folder, "test.sock"))
        self.listener.listen(64)
        self.listener.settimeout(DEADLINE)
        self.connections = [self.listener]
        self.addCleanup(self.close_all)

    def close_all(self):
        for sock in self.connections:
            sock.close()
        for fd in self.fds:
            os.close(fd)

    def unit(self, *arguments, rollout=None, **service):
        return unit_text([tcp()], {"type": "notify", "exec_start": [PYTHON, "-I", "-S", STORE_WORKER, self.listener.getsockname(), *arguments],
                                   "fd_store_max": 10, "timeout_start": "%ds" % (10 * FACTOR), "restart_delay": "1ms", **service},
                         **({"rollout": rollout} if rollout else {}))

    def next_worker(self):
        connection, _ = self.listener.accept()
        connection.settimeout(DEADLINE)
        self.connections.append(connection)
        return Worker(self, connection)

    def started(self, text=None, **more):
        daemon = self.daemon({"web": text or self.unit()}, **more)
        return daemon, self.next_worker()

    def kept(self, text=None):
        """A holdfastd that may be killed or replaced."""
        self.program = os.path.join(self.folder, "holdfastd")
        shutil.copy(program("holdfastd"), self.program)
        return self.started(text, wrapper=(program("holdfast-keeper"), "--", self.program), command=True)

    def memfd(self, text="x"):
        fd = os.memfd_create("test")
        os.write(fd, text.encode())
        self.fds.append(fd)
        return fd

    def pair(self):
        """(ours, a copy for the worker): ours ends when nobody has the other one any more."""
        ours, theirs = socket.socketpair()
        ours.settimeout(DEADLINE)
        self.connections += [ours, theirs]
        return ours, theirs

    def restart(self, daemon):
        self.assert_says(daemon.run("restart", "web"), 0, "is done")
        return self.next_worker()

    def count(self, daemon):
        return daemon.unit("web")["fd_store"]

    def wait_count(self, daemon, count):
        wait_for("%d to be stored" % count, lambda: self.count(daemon) == count)

    def kill(self, daemon):
        before = daemon.call("Version")
        os.kill(before["pid"], signal.SIGKILL)
        wait_for("the next holdfastd", lambda: daemon.call("Version")["starts"] == before["starts"] + 1)

    # ---- what is stored ----

    def test_what_a_worker_stores_is_there_for_the_next_after_the_listeners(self):
        daemon, worker = self.started()
        self.assertEqual(worker.names, ["http"])
        fd = self.memfd("state")
        os.lseek(fd, 3, os.SEEK_SET)
        worker.store(fd, name="my state")
        worker.store(self.memfd("other"))
        self.assertEqual((self.count(daemon), daemon.unit("web")["fd_store_max"]), (2, 10))
        self.assert_says(daemon.run("status", "web"), 0, "fd store    2 of 10")
        after = self.restart(daemon)
        self.assertEqual(after.names[0], "http")
        self.assertEqual(after.stored(), [("my state", "state"), ("stored", "other")])
        self.assertEqual(os.lseek(after.fds[1], 0, os.SEEK_CUR), 3)  # it is the very same open file
        again = self.restart(daemon)
        self.assertEqual(again.names, after.names)

    def test_it_is_there_for_who_replaces_a_worker_that_ended_right_after_its_message(self):
        daemon, worker = self.started()
        for i in range(3):
            worker.exit("FDSTORE=1\nFDNAME=last%d" % i, self.memfd(str(i)))
            worker = self.next_worker()
            self.assertEqual(worker.stored(), [("last%d" % n, str(n)) for n in range(i + 1)])
            # So many ends in so short a time would be paused for.
            wait_for("it to be ready", lambda: [w["state"] for w in daemon.workers("web")] == ["ready"])

    def test_the_workers_of_a_pool_share_one_store(self):
        daemon, first = self.started(self.unit(workers=2))
        second = self.next_worker()
        first.store(self.memfd("1"), name="a")
        second.store(self.memfd("2"), name="b")
        self.assertEqual(self.count(daemon), 2)
        command = daemon.popen("scale", "web", "3")
        self.assertEqual(self.next_worker().stored(), [("a", "1"), ("b", "2")])
        command.communicate(timeout=DEADLINE)

    def test_a_worker_that_asks_by_messages_gets_it_too(self):
        daemon, worker = self.started(self.unit("scm_rights", handoff=["scm_rights"]))
        worker.store(self.memfd("state"), name="a name with / and spaces")
        after = self.restart(daemon)
        self.assertEqual(after.stored(), [("a name with / and spaces", "state")])

    def test_it_stays_while_a_replace_has_nothing_running(self):
        daemon, worker = self.started(self.unit(rollout={"strategy": "replace", "drain_timeout": "10s"}))
        worker.store(self.memfd("state"), name="a")
        self.assertEqual(self.restart(daemon).stored(), [("a", "state")])

    # ---- what is not ----

    def test_one_that_is_stored_already_is_stored_once(self):
        daemon, worker = self.started()
        fd, other = self.memfd("one"), self.memfd("two")
        same = os.dup(fd)
        self.fds.append(same)
        worker.store(fd, same, other, name="a")
        worker.store(other, name="b")
        self.assertEqual(self.restart(daemon).stored(), [("a", "one"), ("a", "two")])
        separate = os.open("/proc/self/fd/%d" % fd, os.O_RDWR)  # of the same file, but opened by itself
        self.fds.append(separate)
        worker = self.restart(daemon)
        worker.store(separate, name="c")
        self.assertEqual(self.count(daemon), 3)

    def test_one_that_hangs_up_is_removed_unless_it_may_not_be(self):
        daemon, worker = self.started()
        ours, theirs = self.pair()
        other, stays = self.pair()
        worker.store(theirs.fileno(), name="goes")
        worker.store(stays.fileno(), name="stays", more="\nFDPOLL=0")
        self.assertEqual(self.count(daemon), 2)
        for sock in (ours, other):
            sock.shutdown(socket.SHUT_RDWR)
        self.wait_count(daemon, 1)
        self.assertEqual(self.restart(daemon).names, ["http", "stays"])

    def test_what_is_removed_by_its_name_is_closed(self):
        daemon, worker = self.started()
        ours, theirs = self.pair()
        worker.store(theirs.fileno(), self.memfd(), name="a", more="\nFDPOLL=0")
        worker.store(self.memfd("b"), name="b")
        theirs.close()
        worker.say("FDSTOREREMOVE=1\nFDNAME=a")
        self.assertEqual(ours.recv(1), b"")
        worker.say("FDSTOREREMOVE=1")
        self.assertIn("without an FDNAME", daemon.wait_event("fd-store", "web")["text"])
        self.assertEqual(self.restart(daemon).stored(), [("b", "b")])

    def test_more_than_it_may_are_closed_and_said(self):
        daemon, worker = self.started(self.unit(fd_store_max=3))
        worker.store(self.memfd("0"), self.memfd("1"))
        ours, theirs = self.pair()
        worker.store(self.memfd("2"), theirs.fileno())
        theirs.close()
        self.assertEqual(ours.recv(1), b"")
        self.assertIn("as many descriptors as they may (3, fd_store_max): 1 descriptor is closed", daemon.wait_event("fd-store", "web")["text"])
        many = [self.memfd() for _ in range(253)]
        for _ in range(3):
            worker.store(*many)
        self.assertEqual(self.restart(daemon).stored(), [("stored", str(i)) for i in range(3)])
        # Not each time.
        self.assertEqual(len([e for e in daemon.call("Events")["events"] if e["kind"] == "fd-store"]), 1)

    def test_without_fd_store_max_nothing_is_stored(self):
        daemon, worker = self.started(self.unit(fd_store_max=0))
        ours, theirs = self.pair()
        worker.store(theirs.fileno())
        theirs.close()
        self.assertEqual(ours.recv(1), b"")
        self.assertIn("fd_store_max is 0", daemon.wait_event("fd-store", "web")["text"])
        self.assertNotIn("fd store", daemon.run("status", "web").out)
        self.assertEqual(self.restart(daemon).names, ["http"])

    def test_garbage_hurts_nobody(self):
        daemon, worker = self.started()
        worker.say("FDSTORE=1")
        self.assertIn("without a descriptor", daemon.wait_event("fd-store", "web")["text"])
        for name in ("a:b", "x" * 256, "\x01", "\x7f", "\xc3\xbc"):
            worker.store(self.memfd(), name=name)
        self.assertEqual(self.count(daemon), 5)
        worker.store(self.memfd(), name="")
        worker.store(self.memfd(), name="n" * 255)
        worker.say("BARRIER=1\nFDSTORE=1", self.memfd(), barrier=False)
        worker.say("FDSTORE=2\nFDSTORE\nFDPOLL=\nFDSTOREREMOVE=0\nFDNAME=stored", self.memfd())
        worker.say("FDSTORE=1\0", self.memfd())
        worker.say("FDSTORE=1\n" + "x" * 5000, self.memfd())
        self.assertEqual(self.restart(daemon).names, ["http", *["stored"] * 6, "n" * 255])

    def test_a_stranger_stores_nothing(self):
        daemon, worker = self.started()
        ours, theirs = self.pair()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.connect(os.path.join(daemon.runtime, "notify"))
            socket.send_fds(sock, [b"FDSTORE=1"], [theirs.fileno()])
        theirs.close()
        self.assertEqual(ours.recv(1), b"")
        self.assertEqual(self.count(daemon), 0)

    def test_it_is_dropped_with_the_stop_of_the_unit_and_with_the_unit(self):
        daemon, worker = self.kept()
        for end in ("stop", "apply"):
            ours, theirs = self.pair()
            worker.store(theirs.fileno(), name="a")
            theirs.close()
            worker = self.restart(daemon)
            self.assertEqual(worker.names, ["http", "a"])
            os.close(worker.fds.pop())
            self.fds.pop()
            self.assertEqual(select.select([ours], [], [], 0)[0], [])
            if end == "apply":
                daemon.remove("web")
            self.assertEqual(daemon.run(end, *(["web"] if end == "stop" else [])).status, 0)
            self.assertEqual(ours.recv(1), b"")  # neither holdfastd nor the keeper has it
            if end == "stop":
                self.assertEqual(self.count(daemon), 0)
                self.assertEqual(daemon.run("start", "web").status, 0)
                worker = self.next_worker()
                self.assertEqual(worker.names, ["http"])

    def test_a_unit_that_ends_by_itself_drops_it(self):
        daemon, worker = self.started(self.unit(restart="no"))
        ours, theirs = self.pair()
        worker.exit("FDSTORE=1", theirs.fileno(), code=0)
        theirs.close()
        self.assertEqual(ours.recv(1), b"")

    # ---- when holdfastd is another ----

    def test_kill_9_of_holdfastd_loses_nothing_of_it(self):
        daemon, worker = self.kept()
        ours, theirs = self.pair()
        worker.store(self.memfd("state"), name="n" * 255)
        worker.store(self.memfd("other"), self.memfd("third"))
        worker.store(theirs.fileno(), name="watched")
        self.kill(daemon)
        self.assertEqual(self.count(daemon), 4)
        self.kill(daemon)
        ours.close()
        self.wait_count(daemon, 3)  # a hang-up is heard by the next one too
        worker.store(self.memfd("late"), name="late")
        worker.say("FDSTOREREMOVE=1\nFDNAME=stored")
        self.kill(daemon)
        self.assertEqual(self.restart(daemon).stored(), [("n" * 255, "state"), ("late", "late")])

    def test_an_upgrade_loses_nothing_of_it(self):
        daemon, worker = self.kept()
        worker.store(self.memfd("state"), name="a", more="\nFDPOLL=0")
        shutil.copy(program("holdfastd"), self.program + ".new")
        os.rename(self.program + ".new", self.program)
        self.assert_says(daemon.run("upgrade"), 0, "has taken over")
        self.assertEqual(self.count(daemon), 1)
        self.assertEqual(self.restart(daemon).stored(), [("a", "state")])

    def test_what_was_said_to_a_holdfastd_that_is_killed_before_it_hears_it_is_heard_by_the_next(self):
        daemon, worker = self.kept()
        before = daemon.call("Version")
        os.kill(before["pid"], signal.SIGSTOP)
        worker.say("FDSTORE=1\nFDNAME=a", self.memfd("state"), barrier=False)
        os.kill(before["pid"], signal.SIGKILL)
        self.wait_count(daemon, 1)
        pid = daemon.call("Version")["pid"]
        os.kill(pid, signal.SIGSTOP)
        worker.exit("FDSTORE=1\nFDNAME=b", self.memfd("last"))
        wait_for("its end", lambda: state_of(worker.pid) in (None, "Z"))
        os.kill(pid, signal.SIGKILL)
        self.assertEqual(self.next_worker().stored(), [("a", "state"), ("b", "last")])

    def test_killed_at_any_moment_nothing_is_lost_and_nothing_twice(self):
        daemon, worker = self.kept(self.unit(fd_store_max=2 * KILLS))
        for i in range(KILLS):
            pid = daemon.call("Version")["pid"]
            worker.say("FDSTORE=1\nFDNAME=n%d" % i, self.memfd(str(i)), barrier=False)
            end = time.monotonic() + i * 0.0001
            while time.monotonic() < end:
                pass
            os.kill(pid, signal.SIGKILL)
            worker.say("STATUS=x")  # heard after it
        self.assertEqual(self.count(daemon), KILLS)
        self.assertEqual(self.restart(daemon).stored(), [("n%d" % i, str(i)) for i in range(KILLS)])

    def test_killed_at_any_system_call_nothing_is_lost_and_nothing_twice(self):
        self.needs_strace()
        daemon, worker = self.kept(self.unit(fd_store_max=1000))
        stored, hits = [], 0
        for call in ("recvmsg", "recvfrom", "memfd_create", "sendmsg"):
            for number in range(1, FAULTS + 1):
                pid = daemon.call("Version")["pid"]
                with self.injecting(pid, call, "signal=SIGKILL:when=%d" % number):
                    for _ in range(2):
                        name = "%s%d" % (call, len(stored))
                        stored.append((name, name))
                        worker.store(self.memfd(name), name=name)
                hits += daemon.call("Version")["pid"] != pid
        print("  killed %d times" % hits)
        self.assertGreater(hits, 4)
        self.assertEqual(self.restart(daemon).stored(), stored)


if __name__ == "__main__":
    main()
