# SPDX-License-Identifier: Apache-2.0
"""holdfast-keeper and the descriptor store of its own supervisor (sd_notify(3), FDSTORE), which the test plays: sockets outlive the keeper."""
import os
import signal
import socket
import threading

from harness import main, wait_for
from keeper import MOST, KeeperStory


class Above(threading.Thread):
    """A supervisor with a store of so many descriptors, or without one; it may look away for a while."""

    def __init__(self, path, most=1 << 16):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.path, self.most, self.stored, self.heard = path, most, [], []
        self.looks = threading.Event()
        self.looks.set()
        self.start()

    def run(self):
        while True:
            text, fds, _, _ = socket.recv_fds(self.socket, 4096, MOST)
            self.looks.wait()
            fields = dict(line.split("=", 1) for line in text.decode().split("\n"))
            if "END" in fields:
                return
            self.heard.append(fields)
            name = fields.get("FDNAME")
            if "FDSTOREREMOVE" in fields:
                for entry in [entry for entry in self.stored if entry[0] == name]:
                    self.stored.remove(entry)
                    os.close(entry[1])
            elif "FDSTORE" in fields and len(self.stored) < self.most:
                self.stored += [(name, fd) for fd in fds]
                fds = []
            for fd in fds:
                os.close(fd)

    def names(self):
        return sorted(name for name, _ in self.stored)

    def end(self):
        self.looks.set()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"END=1", self.path)
        self.join()
        self.socket.close()
        for _, fd in self.stored:
            os.close(fd)


class Storing(KeeperStory):
    def above(self, **more):
        self.supervisor = Above(os.path.join(self.folder, "above.sock"), **more)
        self.addCleanup(self.supervisor.end)
        return self.supervisor

    def kept_below(self, above, **more):
        return self.kept(env={**os.environ, "NOTIFY_SOCKET": above.path}, **more)

    def wait_names(self, above, *names):
        wait_for("the store to have %s" % (names,), lambda: above.names() == sorted(names))

    def test_sockets_and_what_is_known_of_them_are_stored_as_soon_as_they_are_put(self):
        above = self.above()
        _, fake = self.kept_below(above)
        self.assertEqual(fake.dump()["start"]["stored"], "1")
        self.wait_names(above)  # nor is anything left of the question
        listener = self.memfd("listener")
        fake.put(listener_web_1=listener, sockets_web_1=self.memfd(), worker_web_1=self.memfd(), state_web=self.memfd())
        self.wait_names(above, "listener web 1", "sockets web 1")
        self.assert_same_file(dict(above.stored)["listener web 1"], listener)
        self.assertTrue(all(fields["FDPOLL"] == "0" for fields in above.heard if "FDSTORE" in fields), "one that does not listen yet stays")
        fake.put(sockets_web_2=self.memfd())
        fake.say("drop\nsockets web 1\nworker web 1")
        self.wait_names(above, "listener web 1", "sockets web 2")

    def test_what_is_new_is_stored_before_what_is_old_is_removed(self):
        above = self.above()
        _, fake = self.kept_below(above)
        for number in range(1, 20):
            fake.put(**{"sockets_web_%d" % number: self.memfd()})
            fake.say("drop\nsockets web %d" % (number - 1))
        self.wait_names(above, "sockets web 19")
        count = 0
        for fields in above.heard:
            if fields.get("FDNAME", "").startswith("sockets"):
                count += 1 if "FDSTORE" in fields else -1
                self.assertGreater(count, 0)

    def test_what_is_put_under_the_same_name_takes_the_place(self):
        above = self.above()
        _, fake = self.kept_below(above)
        fake.put(listener_web_1=self.memfd("old"))
        self.wait_names(above, "listener web 1")
        new = self.memfd("new")
        fake.put(listener_web_1=new)
        wait_for("the new one", lambda: [os.fstat(fd).st_ino for _, fd in above.stored] == [os.fstat(new).st_ino])
        fake.say("drop\nlistener web 1")
        fake.put(listener_web_1=new)
        fake.say("drop\nlistener web 1")
        self.wait_names(above)

    def test_without_a_store_nothing_is_said(self):
        above = self.above(most=0)
        _, fake = self.kept_below(above)
        self.assertEqual(fake.dump()["start"]["stored"], "0")
        heard = len(above.heard)
        fake.put(listener_web_1=self.memfd())
        fake.say("drop\nlistener web 1")
        fake.agree_with_keeper()
        self.assertEqual(len(above.heard), heard)

    def test_one_that_does_not_read_for_a_while_holds_nobody_up(self):
        above = self.above()
        keeper, fake = self.kept_below(above)
        above.looks.clear()
        fd = self.memfd()
        names = ["listener web %d" % i for i in range(600)]
        for i in range(0, len(names), 200):
            fake.say("\n".join(["put", *names[i:i + 200]]), [fd] * 200)
        fake.say("\n".join(["drop", *names[:100]]))
        fake.agree_with_keeper()
        self.assertEqual(len(fake.dump()["held"]), 500)
        fake.kill()
        fake = self.next_fake().ready()
        self.assertEqual(len(fake.dump()["held"]), 500)
        keeper.signal(signal.SIGUSR2)  # also a new keeper knows what is still to be said
        fake.agree_with_keeper()
        above.looks.set()
        self.wait_names(above, *names[100:])
        fake.say("\n".join(["drop", *names[100:300]]))
        self.wait_names(above, *names[300:])

    def test_a_re_executed_keeper_says_nothing_twice(self):
        above = self.above()
        keeper, fake = self.kept_below(above)
        fake.put(listener_web_1=self.memfd())
        self.wait_names(above, "listener web 1")
        heard = len(above.heard)
        keeper.signal(signal.SIGUSR2)
        self.assertEqual(fake.dump()["start"]["stored"], "1")
        fake.say("drop\nlistener web 1")
        self.wait_names(above)
        self.assertEqual(len(above.heard), heard + 1)

    def test_no_more_than_can_be_passed_back_is_stored(self):
        """All names come back in one variable, and with one of more than 128 KiB no program can be started."""
        above = self.above()
        _, fake = self.kept_below(above)
        fd = self.memfd()
        for i in range(0, 1500, 250):
            fake.say("\n".join(["put", *("listener %s %d" % ("n" * 90, i + n) for n in range(250))]), [fd] * 250)
        self.wait_said("not all sockets outlive a restart")
        self.assertLess(sum(len(name) + 1 for name in above.names()), 120 * 1024)
        self.assertGreater(len(above.names()), 1000)

    # ---- what comes back ----

    def passed(self, *entries):
        """A keeper that is given these (name, descriptor) as systemd would do it."""
        first = 3

        def place():
            high = [os.dup2(fd, 200 + i) for i, (_, fd) in enumerate(entries)]
            for i, fd in enumerate(high):
                os.dup2(fd, first + i)
                os.close(fd)
        environment = {**os.environ, "LISTEN_FDS": str(len(entries)), "LISTEN_FDNAMES": ":".join(name for name, _ in entries)}
        return self.kept(wrapper=["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh"], env=environment, preexec_fn=place,
                         pass_fds=range(first, first + len(entries)))

    def test_what_was_passed_is_in_the_dump_and_in_no_variable(self):
        listener, text, http, other = self.memfd(), self.memfd(), self.memfd(), self.memfd()
        _, fake = self.passed(("listener web 1", listener), ("sockets web 7", text), ("http", http), ("http", other))
        held = fake.dump()["held"]
        self.assertEqual(set(held), {"listener web 1", "sockets web 7", "passed 2 http", "passed 3 http"})
        for name, fd in (("listener web 1", listener), ("passed 2 http", http), ("passed 3 http", other)):
            self.assert_same_file(held[name][2], fd)
        with open("/proc/%d/environ" % fake.pid, encoding="utf-8") as file:
            self.assertNotIn("LISTEN_", file.read())
        self.assert_nothing_else_is_open(fake.hello)

    def test_what_came_out_of_the_store_is_known_to_be_there(self):
        above = self.above()
        os.environ["NOTIFY_SOCKET"] = above.path
        self.addCleanup(os.environ.pop, "NOTIFY_SOCKET")
        _, fake = self.passed(("listener web 1", self.memfd()))
        self.assertEqual(fake.dump()["start"]["stored"], "1")
        self.assertEqual(above.heard, [])
        fake.say("drop\nlistener web 1")
        wait_for("it to be removed", lambda: above.heard == [{"FDSTOREREMOVE": "1", "FDNAME": "listener web 1"}])

    def test_what_was_passed_to_another_is_left_alone(self):
        _, fake = self.kept(env={**os.environ, "LISTEN_PID": "1", "LISTEN_FDS": "1"})
        self.assertEqual(fake.dump()["held"], {})


if __name__ == "__main__":
    main()
