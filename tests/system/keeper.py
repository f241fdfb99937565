# SPDX-License-Identifier: Apache-2.0
"""holdfast-keeper with a holdfastd that the test plays (fake_holdfastd.py)."""
import errno
import json
import os
import resource
import shutil
import signal
import socket
import subprocess

from harness import DEADLINE, HERE, PYTHON, Story, program, state_of, wait_for

FAKE = os.path.join(HERE, "fake_holdfastd.py")
MOST = 253
SOFT_LIMIT = 1000  # what the keeper is started with
START_SUCCESSOR = 79


class Fake:
    """One process that the keeper started, and both its conversations: with the test, and with the keeper."""

    def __init__(self, story, connection, hello, keeper):
        self.story, self.connection, self.hello, self.keeper = story, connection, hello, keeper
        self.pid = hello["pid"]
        self.keeper.settimeout(DEADLINE)

    # ---- the protocol ----

    def say(self, text, fds=()):
        def try_it():
            try:
                socket.send_fds(self.keeper, [text.encode() if isinstance(text, str) else text], list(fds))
                return True
            except OSError as error:
                if error.errno != errno.ETOOMANYREFS:  # of an ordinary user, until the keeper has read some
                    raise
                return False
        wait_for("the keeper to read", try_it)

    def hear(self):
        """(text, descriptors) of the next message; ("", []) at its end."""
        text, fds, _, _ = socket.recv_fds(self.keeper, 1 << 16, MOST)
        self.story.fds += fds
        return text.decode(), fds

    def put(self, **entries):
        self.say("\n".join(["put", *(name.replace("_", " ") for name in entries)]), entries.values())

    def dump(self):
        self.say("dump")
        return self.hear_dump()

    def hear_dump(self):
        dump = {"start": None, "held": {}, "state": None, "exits": [], "messages": []}
        while True:
            text, fds = self.hear()
            verb, *lines = text.split("\n")
            dump["messages"].append((verb, len(lines), len(fds)))
            if verb == "start":
                dump.update(start=dict(line.split("=", 1) for line in lines if line), exits=[])
            elif verb == "held":
                for line, fd in zip(lines, fds, strict=True):
                    signals, last, name = line.split(" ", 2)
                    dump["held"][name] = (int(signals), int(last), fd)
            elif verb == "state":
                dump["state"] = fds[0]
            elif verb == "exits":
                dump["exits"] += [tuple(map(int, line.split())) for line in lines]
            elif verb == "end":
                return dump
            else:
                raise AssertionError("in a dump: %r" % text)

    def ready(self):
        self.say("ready")
        return self

    def agree_with_keeper(self):
        """It has done everything that was said until now."""
        self.say("upgrade")
        text, _ = self.hear()
        self.story.assertEqual(text, "upgrade ok")

    # ---- the process ----

    def tell(self, command):
        self.connection.send(command.encode())

    def ask(self, command):
        self.tell(command)
        return self.next()["answer"]

    def next(self):
        return json.loads(self.connection.recv(4096))

    def exit(self, status):
        self.tell("exit %d" % status)

    def die(self, number):
        self.tell("die %d" % number)

    def kill(self, number=signal.SIGKILL):
        os.kill(self.pid, number)

    def fork_worker(self):
        """(pid, its connection): a worker that says which signals it gets."""
        pid = self.ask("fork")
        connection, hello, _ = self.story.next_hello()
        self.story.assertEqual(hello, {"worker": pid})
        self.story.workers.append(pid)
        return pid, connection

    def fork_group(self):
        """(pid of a worker that leads a group, pid of another process in it)"""
        leader, member = self.ask("group")
        self.story.next_hello()
        self.story.workers += [leader, member]
        return leader, member

    def close(self):
        self.keeper.close()
        self.connection.close()


class Keeper:
    def __init__(self, story, *options, arguments=(), wrapper=(), binary=None, program_path=None, **more):
        self.log = open(os.path.join(story.folder, "keeper.log"), "ab")
        self.process = subprocess.Popen(
            [*wrapper, binary or program("holdfast-keeper"), *options, "--", program_path or PYTHON, "-I", "-S", FAKE,
             story.listener.getsockname(), *arguments], stdin=subprocess.DEVNULL, stderr=self.log,
            **{"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (SOFT_LIMIT, resource.getrlimit(resource.RLIMIT_NOFILE)[1])),
               **more})
        self.pid = self.process.pid

    def signal(self, number):
        os.kill(self.pid, number)

    def wait(self):
        return self.process.wait(DEADLINE)


class KeeperStory(Story):
    def setUp(self):
        super().setUp()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # we get all that the keeper holds
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(os.path.join(self.folder, "test.sock"))
        self.listener.listen(64)
        self.listener.settimeout(DEADLINE)
        self.keepers, self.workers, self.fds, self.open, self.waiting = [], [], [], [self.listener], []

    def tearDown(self):
        for keeper in self.keepers:
            if keeper.process.poll() is None:
                keeper.process.kill()
                keeper.process.wait()
            keeper.log.close()
        for sock in self.open:
            sock.close()  # a fake whose test is gone ends
        for pid in self.workers:
            if state_of(pid) not in (None, "Z"):
                os.kill(pid, signal.SIGKILL)
        for fd in set(self.fds):
            os.close(fd)
        super().tearDown()

    # ---- what tests say often ----

    def keeper(self, *options, **more):
        self.keepers.append(Keeper(self, *options, **more))
        return self.keepers[-1]

    def kept(self, *options, **more):
        """A keeper and its first holdfastd, which is ready."""
        keeper = self.keeper(*options, **more)
        return keeper, self.next_fake().ready()

    def next_hello(self):
        connection, _ = self.listener.accept()
        connection.settimeout(DEADLINE)
        self.open.append(connection)
        text, fds, _, _ = socket.recv_fds(connection, 4096, 4)
        return connection, json.loads(text), fds

    def next_fake(self):
        """The next holdfastd that the keeper starts."""
        connection, hello, fds = self.next_hello()
        fake = Fake(self, connection, hello, socket.socket(fileno=fds[0]))
        self.open.append(fake.keeper)
        return fake

    def no_fake_waits(self):
        self.listener.setblocking(False)
        try:
            self.listener.accept()
        except BlockingIOError:
            return True
        finally:
            self.listener.settimeout(DEADLINE)
        return False

    def memfd(self, text="x"):
        fd = os.memfd_create("test")
        os.write(fd, text.encode())
        self.fds.append(fd)
        return fd

    def said(self):
        with open(os.path.join(self.folder, "keeper.log")) as file:
            return file.read()

    def wait_said(self, words):
        wait_for("the keeper to say %r" % words, lambda: words in self.said())

    def held_by(self, keeper):
        """How many descriptors the keeper has open."""
        return len(os.listdir("/proc/%d/fd" % keeper.pid))

    def assert_same_file(self, one, other):
        self.assertEqual(os.fstat(one).st_ino, os.fstat(other).st_ino)

    def pidfd(self, pid):
        fd = os.pidfd_open(pid)
        self.fds.append(fd)
        return fd

    def assert_nothing_else_is_open(self, hello):
        meant = {"0", "1", "2", str(hello["test"]), hello["variables"]["HOLDFAST_KEEPER"]}
        self.assertEqual({n: what for n, what in hello["open"].items() if n not in meant and not what.endswith(FAKE)}, {})

    # ---- a program that can be replaced ----

    def install(self, name="holdfastd"):
        """Python as a program of its own, so that what is at its path can be another tomorrow."""
        path = os.path.join(self.folder, name)
        shutil.copy(os.path.realpath(PYTHON), path)
        return path

    def deploy(self, path, what, mode=0o755):
        """As a package does: the new file takes the place of the old one."""
        shutil.copy(what, path + ".new")
        os.chmod(path + ".new", mode)
        os.rename(path + ".new", path)
        return os.stat(path).st_ino

    def deploy_python(self, path):
        return self.deploy(path, os.path.realpath(PYTHON))

    def file_of(self, pid):
        return os.stat("/proc/%d/exe" % pid).st_ino
