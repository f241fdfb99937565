# SPDX-License-Identifier: Apache-2.0
"""holdfast-keeper and the descriptor store of its own supervisor (sd_notify(3), FDSTORE), which the test plays: sockets outlive the keeper."""
import os
import signal
import socket
import threading

from harness import Story, http_get, main, program, wait_for, web
from keeper import MOST, KeeperStory


class Above(threading.Thread):
    """A supervisor with a store of so many descriptors, or without one; it may look away for a while. As systemd, it has an open file once, by
    the name that it came with first."""

    def __init__(self, path, most=1 << 16):
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.path, self.most, self.stored, self.heard = path, most, [], []
        self.inodes = set()
        self.looks = threading.Event()
        self.looks.set()
        self.has_heard = threading.Event()
        self.start()

    def run(self):
        while True:
            text, fds, _, _ = socket.recv_fds(self.socket, 4096, MOST)
            self.looks.wait()
            fields = dict(line.split("=", 1) for line in text.decode().split("\n"))
            if "HEARD" in fields:
                self.has_heard.set()
                continue
            if "END" in fields:
                return
            self.heard.append(fields)
            name = fields.get("FDNAME")
            if "FDSTOREREMOVE" in fields:
                self.drop(lambda stored: stored == name)
            elif "FDSTORE" in fields and len(self.stored) < self.most:
                inode = os.fstat(fds[0]).st_ino
                if inode not in self.inodes:
                    self.inodes.add(inode)
                    self.stored.append((name, fds.pop()))
            for fd in fds:
                os.close(fd)

    def names(self):
        return sorted(name for name, _ in self.stored)

    def drop(self, is_meant):
        for entry in [entry for entry in self.stored if is_meant(entry[0])]:
            self.stored.remove(entry)
            self.inodes.remove(os.fstat(entry[1]).st_ino)
            os.close(entry[1])

    def tell(self, text):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(text, self.path)

    def hear_all(self):
        """Until it has heard all that was said by now."""
        self.has_heard.clear()
        self.tell(b"HEARD=1")
        self.has_heard.wait()

    def end(self):
        if self.socket.fileno() < 0:
            return
        self.looks.set()
        self.tell(b"END=1")
        self.join()
        self.socket.close()
        for _, fd in self.stored:
            os.close(fd)


def passing(*entries):
    """Wrapper, environment and arguments of Popen by which a program is given these (name, descriptor) as systemd would do it."""
    first = 3

    def place():
        high = [os.dup2(fd, 200 + i) for i, (_, fd) in enumerate(entries)]
        for i, fd in enumerate(high):
            os.dup2(fd, first + i)
            os.close(fd)
    environment = {"LISTEN_FDS": str(len(entries)), "LISTEN_FDNAMES": ":".join(name for name, _ in entries)}
    return ["sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh"], environment, {"preexec_fn": place, "pass_fds": range(first, first + len(entries))}


class Storing(KeeperStory):
    def above(self, **more):
        self.supervisor = Above(os.path.join(self.folder, "above.sock"), **more)
        self.addCleanup(self.supervisor.end)
        return self.supervisor

    def kept_below(self, above, **more):
        return self.kept(env={**os.environ, "NOTIFY_SOCKET": above.path}, **more)

    def put_many(self, fake, names):
        for i in range(0, len(names), 200):
            fds = [os.memfd_create("many") for _ in names[i:i + 200]]
            fake.say("\n".join(["put", *names[i:i + 200]]), fds)
            for fd in fds:
                os.close(fd)

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

    def test_an_open_file_that_has_another_name_now_stays(self):
        above = self.above()
        keeper, fake = self.kept_below(above)
        one, other = self.memfd("one"), self.memfd("other")

        def are_stored(**wanted):
            wanted = {name.replace("_", " "): os.fstat(fd).st_ino for name, fd in wanted.items()}
            wait_for(str(wanted), lambda: {name: os.fstat(fd).st_ino for name, fd in above.stored} == wanted)
        fake.put(listener_a_1=one)
        are_stored(listener_a_1=one)
        fake.put(listener_b_1=one)
        fake.agree_with_keeper()
        fake.say("drop\nlistener a 1")
        are_stored(listener_b_1=one)
        fake.put(listener_c_1=one)  # the other way round, at once, and the old name is another's
        fake.put(listener_b_1=other)
        are_stored(listener_b_1=other, listener_c_1=one)
        fake.put(listener_d_1=one)
        fake.agree_with_keeper()
        above.looks.clear()
        for i in range(300):  # more than it takes unread, so that something is due when the keeper becomes another
            fake.put(**{"sockets_web_%d" % i: self.memfd()})
            fake.say("drop\nsockets web %d" % (i - 1))
        fake.say("drop\nlistener c 1")
        fake.agree_with_keeper()
        keeper.signal(signal.SIGUSR2)
        fake.agree_with_keeper()
        above.looks.set()
        fake.say("drop\nsockets web 299")
        are_stored(listener_b_1=other, listener_d_1=one)

    def test_one_that_is_away_for_a_moment_is_told_later(self):
        above = self.above()
        _, fake = self.kept_below(above)
        fake.put(listener_web_1=self.memfd())
        self.wait_names(above, "listener web 1")
        above.end()
        os.unlink(above.path)
        for name in ("listener web 2", "listener web 3"):
            fake.put(**{name.replace(" ", "_"): self.memfd()})
            fake.agree_with_keeper()
        self.wait_said("this is tried again")
        self.wait_names(self.above(), "listener web 2", "listener web 3")

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
        names = ["listener web %d" % i for i in range(600)]
        self.put_many(fake, names)
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
        self.put_many(fake, ["listener %s %d" % ("n" * 90, i) for i in range(1500)])
        self.wait_said("not all sockets outlive a restart")
        self.assertLess(sum(len(name) + 1 for name in above.names()), 120 * 1024)
        self.assertGreater(len(above.names()), 1000)

    # ---- what comes back ----

    def passed(self, *entries):
        """A keeper that is given these (name, descriptor) as systemd would do it."""
        wrapper, environment, more = passing(*entries)
        return self.kept(wrapper=wrapper, env={**os.environ, **environment}, **more)

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


class Below(Story):
    """holdfastd and its keeper, again and again."""

    def start(self, above, path):
        """With all that was stored, as after a `systemctl restart`."""
        stored = [(name, os.dup(fd)) for name, fd in above.stored]
        wrapper, environment, more = passing(*stored) if stored else ([], {}, {})
        above.heard.clear()
        daemon = self.daemon({"web": web("unix:" + path)}, active=(), wrapper=[*wrapper, program("holdfast-keeper"), "--"],
                             environment={**environment, "NOTIFY_SOCKET": above.path}, popen=more, ready=False)
        for _, fd in stored:
            os.close(fd)
        wait_for("it to be ready", lambda: {"READY"} <= {field for fields in list(above.heard) for field in fields})
        daemon.wait_whole("web")
        return daemon

    def test_every_restart_has_the_sockets_of_the_first(self):
        above = Above(os.path.join(self.folder, "above.sock"))
        self.addCleanup(above.end)
        path = os.path.join(self.folder, "web.sock")
        inodes = set()
        for number in range(8):
            daemon = self.start(above, path)
            self.assertEqual(http_get(path)[0], 200)
            self.assertEqual(daemon.end(), 0)
            above.hear_all()
            inodes.add(tuple(os.fstat(fd).st_ino for name, fd in above.stored if name.startswith("listener ")))
            texts = [os.pread(fd, 1 << 16, 0) for name, fd in above.stored if name.startswith("sockets ")]
            self.assertEqual([text.count(b"listener ") for text in texts], [1], "what is left is known")
            if number % 3 == 2:
                above.drop(lambda name: name.startswith("sockets "))  # then they are found by their address
        self.assertEqual([len(inode) for inode in inodes], [1])


if __name__ == "__main__":
    main()
