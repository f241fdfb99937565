# SPDX-License-Identifier: Apache-2.0
"""holdfast-keeper holds what holdfastd puts, across any end of holdfastd (P3); what it is, and what it costs."""
import os
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import time

from harness import (DEADLINE, FACTOR, NOBODY, PYTHON, as_user, children_of, is_root, main, program, state_of, wait_for,
                     wait_gone)
from keeper import MOST, SOFT_LIMIT, KeeperStory

RTMIN = int(signal.SIGRTMIN)


class Holding(KeeperStory):
    def test_what_was_put_is_there_after_kill_9(self):
        _, first = self.kept()
        one, two = self.memfd("one"), self.memfd("two")
        first.put(listener_web=one, worker_web_1=two)
        first.kill()
        second = self.next_fake()
        self.assertNotEqual(second.pid, first.pid)
        dump = second.dump()
        self.assertEqual(set(dump["held"]), {"listener web", "worker web 1"})
        self.assert_same_file(dump["held"]["listener web"][2], one)
        self.assert_same_file(dump["held"]["worker web 1"][2], two)
        self.assertEqual(dump["start"], {"starts": "2", "reason": "crash", "upgrade": "none", "problem": "", "previous": str(first.pid),
                                         "previous_exit": "2 9", "refused": "0", "stored": "0"})

    def test_the_first_start_is_told_as_such(self):
        _, fake = self.kept()
        dump = fake.dump()
        self.assertEqual(dump["start"], {"starts": "1", "reason": "first", "upgrade": "none", "problem": "", "previous": "0",
                                         "previous_exit": "", "refused": "0", "stored": "0"})
        self.assertEqual((dump["held"], dump["state"], dump["exits"]), ({}, None, []))

    def test_drop_and_replace_close_at_once(self):
        keeper, fake = self.kept()
        before = self.held_by(keeper)
        ours, theirs = socket.socketpair()
        fake.put(a=theirs.fileno(), b=self.memfd())
        theirs.close()
        fake.agree_with_keeper()
        self.assertEqual(self.held_by(keeper), before + 2)
        other = self.memfd("other")
        fake.put(a=other)
        self.assertEqual(ours.recv(1), b"")  # nobody has the other end any more
        ours.close()
        fake.say("drop\nb\nno such")
        fake.agree_with_keeper()
        self.assertEqual(self.held_by(keeper), before + 1)
        fake.kill()
        held = self.next_fake().dump()["held"]
        self.assertEqual(list(held), ["a"])
        self.assert_same_file(held["a"][2], other)

    def test_a_dump_leaves_everything_where_it_is(self):
        _, fake = self.kept()
        fake.put(a=self.memfd())
        for _ in range(2):
            self.assertEqual(list(fake.dump()["held"]), ["a"])

    def test_state_has_a_place_of_its_own(self):
        _, fake = self.kept()
        fake.say("state", [self.memfd("old")])
        latest = self.memfd("new")
        fake.say("state", [latest])
        fake.put(state=self.memfd())
        fake.kill()
        dump = self.next_fake().dump()
        self.assert_same_file(dump["state"], latest)
        self.assertEqual(list(dump["held"]), ["state"])

    def test_thousands_of_descriptors_come_back_in_batches(self):
        """As many as the limit of open files allows, up to more than fit in the buffer of the socket."""
        count = min(5000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 200)
        _, fake = self.kept()
        fd = self.memfd()
        names = ["listener %s %d" % ("n" * 90, i) for i in range(count)]
        for i in range(0, count, MOST):
            fake.say("\n".join(["put", *names[i:i + MOST]]), [fd] * len(names[i:i + MOST]))
        fake.kill()
        fake = self.next_fake()
        dump = fake.dump()
        self.assertEqual(set(dump["held"]), set(names))
        self.assertGreaterEqual(len([verb for verb, _, _ in dump["messages"] if verb == "held"]), count // MOST)
        for i in range(0, count, MOST):
            fake.say("\n".join(["drop", *names[i:i + MOST]]))
        self.assertEqual(fake.dump()["held"], {})

    def test_a_dump_waits_while_too_many_descriptors_are_on_their_way(self):
        """An ordinary user may have as many in sockets as the limit of open files says, all his processes together."""
        user = {}
        if is_root():
            self.needs_nobody()
            user = as_user(NOBODY)
            os.chmod(self.listener.getsockname(), 0o666)
        few = 300
        keeper, fake = self.kept(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (few, few)), **user)
        fd = self.memfd()
        fake.say("\n".join(["put", *("n%d" % i for i in range(200))]), [fd] * 200)
        fake.agree_with_keeper()
        with subprocess.Popen([PYTHON, "-c", HOARDER, str(2 * few)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, **user) as hoarder:
            self.assertEqual(hoarder.stdout.readline(), b"full\n")
            fake.say("dump")
            self.assertEqual(fake.hear()[0].split("\n")[0], "start")
            wait_for("it to sleep", lambda: state_of(keeper.pid) == "S")
            self.assertEqual(select.select([fake.keeper], [], [], 0.1)[0], [])
            hoarder.stdin.close()
            self.assertEqual(fake.hear()[0].count("\n"), 200)
            self.assertEqual(fake.hear()[0], "end")

    def test_a_dump_that_nobody_reads_stops_nobody(self):
        keeper, fake = self.kept()
        names = ["n%d" % i for i in range(MOST)]
        for i in range(20):
            fake.say("\n".join(["put", *("%s %d" % (name, i) for name in names)]), [self.fds[0] if self.fds else self.memfd()] * MOST)
        for _ in range(4):
            fake.say("dump")
        pid, _ = fake.fork_worker()
        fake.kill()
        fake.keeper.close()  # what is on its way counts against an ordinary user's limit of open files
        second = self.next_fake()
        dump = second.dump()
        self.assertEqual(len(dump["held"]), 20 * MOST)
        os.kill(pid, signal.SIGKILL)
        self.assertEqual(second.hear()[0], "exits\n%d 2 9" % pid)
        wait_for("it to sleep", lambda: state_of(keeper.pid) == "S")

    def test_what_was_put_just_before_the_end_is_not_lost(self):
        """It is in the socket when the keeper hears of the end, whichever it looks at first."""
        _, fake = self.kept()
        for i in range(3):
            os.kill(fake.pid, signal.SIGSTOP)
            fake.say("put\nlast %d" % i, [self.memfd()])
            fake.kill()
            fake = self.next_fake().ready()
            self.assertEqual(len(fake.dump()["held"]), i + 1)

    def test_what_was_put_is_not_lost_by_an_end_that_left_something_unread(self):
        """The kernel then says ECONNRESET once before it gives what was sent; and what the keeper says meanwhile is EPIPE."""
        _, fake = self.kept()
        fake.dump()
        pid, _ = fake.fork_worker()
        fake.put(worker=self.pidfd(pid))
        fake.say("nonsense")
        wait_for("an answer that is not read", lambda: select.select([fake.keeper], [], [], 0)[0])
        keeper = self.keepers[0].pid
        os.kill(keeper, signal.SIGSTOP)
        for i in range(10):
            fake.say("put\nlast %d" % i, [self.memfd()])
            fake.say("nonsense")
        fake.keeper.close()
        fake.kill()
        wait_for("its end", lambda: state_of(fake.pid) == "Z")
        os.kill(keeper, signal.SIGCONT)
        self.assertEqual(len(self.next_fake().dump()["held"]), 11)


class Refusing(KeeperStory):
    def assert_refused(self, fake, text, count, reason):
        ours, theirs = socket.socketpair()
        fake.say(text, [theirs.fileno()] * count)
        theirs.close()
        self.assertIn(reason, fake.hear()[0])
        self.assertEqual(ours.recv(1), b"")  # what came with it is closed
        ours.close()

    def test_what_is_refused_is_closed_said_and_counted(self):
        keeper, fake = self.kept()
        before = self.held_by(keeper)
        bad = [("put\na", 2, "not as many"), ("put\na\nb", 1, "not as many"), ("put\na/b", 1, "a name is"), ("put\n", 1, "no name"),
               ("alive\n0", 0, "alive has one number"), ("alive\nsoon", 0, "alive has one number"),
               ("put\n" + "n" * 121, 1, "a name is"), ("nonsense", 3, "no such verb"), ("dump", 1, "descriptors where none"),
               ("state", 0, "state comes with one"), ("state", 2, "state comes with one"), ("drop\na", 1, "descriptors where none"),
               ("put\n" + "\n".join("n" * 120 for _ in range(300)), 1, "the message is"), ("signal\n0 a", 0, "a signal is"),
               ("signal\n9 nobody", 0, "no such name"), (b"\xff\x00", 0, "no such verb"), ("x" * 40000, 0, "the message is"),
               (b"", 1, "the message is")]
        for text, count, reason in bad:
            with self.subTest(text[:20]):
                self.assert_refused(fake, text, count, reason)
        self.assertEqual(self.held_by(keeper), before)
        dump = fake.dump()
        self.assertEqual(dump["held"], {})
        self.assertEqual(dump["start"]["refused"], str(len(bad)))

    def test_an_empty_message_is_no_end(self):
        _, fake = self.kept()
        fake.say(b"")
        self.assertIn("refused", fake.hear()[0])
        self.assertEqual(fake.dump()["held"], {})

    def test_a_descriptor_that_the_keeper_has_no_room_for_is_refused(self):
        keeper, fake = self.kept(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60)))
        fd = self.memfd()
        fake.say("\n".join(["put", *map(str, range(MOST))]), [fd] * MOST)
        self.assertIn("descriptors cannot be had", fake.hear()[0])
        fake.say("put\na", [fd])
        self.assertEqual(list(fake.dump()["held"]), ["a"])
        self.assertLess(self.held_by(keeper), 60)

    def test_more_names_than_the_table_has_are_refused(self):
        if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 17000:
            self.skip("no process may have 16384 descriptors open")
        _, fake = self.kept()
        fd = self.memfd()
        for i in range(0, 16384, 128):
            fake.say("\n".join(["put", *("n%d" % n for n in range(i, i + 128))]), [fd] * 128)
        fake.say("put\nn1\none more", [fd, fd])
        self.assertEqual(fake.hear()[0], "refused more than 16384 names")
        fake.put(n1=fd)  # replacing needs no room
        fake.agree_with_keeper()


class Ends(KeeperStory):
    def test_workers_of_a_dead_holdfastd_are_reaped_and_their_exits_reach_the_next(self):
        keeper, first = self.kept()
        early, _ = first.fork_worker()
        late, talk = first.fork_worker()
        first.kill()
        wait_for("the keeper to be their parent", lambda: {early, late} <= set(children_of(keeper.pid)))
        os.kill(early, signal.SIGKILL)
        wait_gone(early)
        second = self.next_fake()
        self.assertEqual(second.dump()["exits"], [(early, 2, 9)])
        os.kill(late, signal.SIGTERM)
        self.assertEqual(talk.recv(10), b"15")
        self.assertEqual(second.hear()[0], "exits\n%d 1 7" % late)
        wait_gone(late)
        second.kill()
        self.assertEqual(self.next_fake().dump()["exits"], [(early, 2, 9), (late, 1, 7)])

    def test_orphans_of_workers_are_reaped(self):
        keeper, fake = self.kept()
        fake.tell("orphan")
        self.assertIsNone(fake.next()["answer"])
        orphan = wait_for("the orphan", lambda: [p for p in children_of(keeper.pid) if p != fake.pid])[0]
        fake.kill()
        second = self.next_fake()
        wait_gone(orphan)
        if not second.dump()["exits"]:
            self.assertEqual(second.hear()[0], "exits\n%d 1 5" % orphan)

    def test_the_keeper_signals_once_and_counts(self):
        _, fake = self.kept()
        pid, talk = fake.fork_worker()
        fake.put(worker_web_1=self.pidfd(pid))
        for number in (RTMIN, RTMIN, signal.SIGUSR1):
            fake.say("signal\n%d worker web 1" % number)
        fake.agree_with_keeper()
        fake.kill()  # however it ends, the message was the act
        dump = self.next_fake().dump()
        self.assertEqual(dump["held"]["worker web 1"][:2], (3, signal.SIGUSR1))
        self.assertEqual(sorted(talk.recv(10) for _ in range(3)), sorted([b"10", b"%d" % RTMIN, b"%d" % RTMIN]))
        os.kill(pid, signal.SIGTERM)
        self.assertEqual(talk.recv(10), b"15")  # and no other came

    def test_a_signal_to_what_has_ended_is_counted_and_to_what_is_no_process_refused(self):
        _, fake = self.kept()
        pid, _ = fake.fork_worker()
        fake.put(worker=self.pidfd(pid), file=self.memfd())
        os.kill(pid, signal.SIGKILL)
        fake.say("signal\n15 worker")
        fake.say("signal\n15 file")
        self.assertEqual(fake.hear()[0], "refused it is no process")
        held = fake.dump()["held"]
        self.assertEqual((held["worker"][:2], held["file"][:2]), ((1, 15), (0, 0)))
        other = self.memfd()
        fake.put(worker=other)  # its main process is another now; the worker has been told
        after = fake.dump()["held"]["worker"]
        self.assertEqual(after[:2], (1, 15))
        self.assert_same_file(after[2], other)
        fake.say("drop\nworker")
        fake.put(worker=self.memfd())  # another worker under this name was never signalled
        self.assertEqual(fake.dump()["held"]["worker"][:2], (0, 0))


class WhatItIs(KeeperStory):
    def test_holdfastd_starts_clean(self):
        ignoring = lambda: (resource.setrlimit(resource.RLIMIT_NOFILE, (SOFT_LIMIT, resource.getrlimit(resource.RLIMIT_NOFILE)[1])),
                            signal.signal(signal.SIGHUP, signal.SIG_IGN), signal.signal(signal.SIGCHLD, signal.SIG_IGN),
                            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1}))
        keeper = self.keeper(preexec_fn=ignoring, env={**os.environ, "HOLDFAST_KEEPER": "nonsense", "HOLDFAST_KEEPER_STATE": "9"})
        hello = self.next_fake().hello
        self.assertEqual(list(hello["variables"]), ["HOLDFAST_KEEPER"])
        self.assertEqual(hello["ppid"], keeper.pid)
        self.assertEqual(int(hello["blocked"], 16), 0)
        # Python ignores SIGPIPE and SIGXFSZ by itself.
        self.assertEqual(int(hello["ignored"], 16) & ~(1 << 12 | 1 << 24), 0)
        self.assert_nothing_else_is_open(hello)
        self.assertEqual(hello["limit"], SOFT_LIMIT)

    def test_the_watchdog_of_the_keeper_s_own_supervisor_is_answered_by_holdfastd(self):
        for who, shell in (("the keeper", "WATCHDOG_PID=$$ exec \"$@\""), ("another", "WATCHDOG_PID=1 exec \"$@\"")):
            keeper = self.keeper(wrapper=["sh", "-c", shell, "sh"])
            fake = self.next_fake()
            self.assertEqual(fake.hello["watchdog"], str(fake.pid) if who == "the keeper" else "1")
            fake.exit(0)
            self.assertEqual(keeper.wait(), 0)

    def test_it_works_as_pid_1(self):
        wrapper = ["unshare", "--pid", "--fork", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
        if shutil.which("unshare") is None or subprocess.run([*wrapper, "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
            self.skip("no namespace of processes can be made here")
        outer = self.keeper(wrapper=wrapper)
        fake = self.next_fake().ready()
        self.assertEqual(fake.hello["ppid"], 1)
        fake.tell("orphan")
        self.assertIsNone(fake.next()["answer"])
        inner = children_of(outer.pid)[0]
        orphan = wait_for("the orphan", lambda: children_of(inner)[1:])[0]
        os.kill(children_of(inner)[0], signal.SIGKILL)
        second = self.next_fake().ready()
        wait_gone(orphan)
        self.assertEqual(second.dump()["start"]["starts"], "2")
        second.exit(0)
        self.assertEqual(outer.wait(), 0)

    def test_it_allocates_nothing_after_start(self):
        compiler = shutil.which("cc")
        if compiler is None or FACTOR > 1:
            self.skip("no compiler, or a build with allocations of its own")
        library, counts = os.path.join(self.folder, "count.so"), os.path.join(self.folder, "counts")
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, "-x", "c", "-"], input=COUNTER, text=True, check=True)
        with open(counts, "wb") as file:
            file.write(bytes(8))
        keeper, fake = self.kept("--ready-timeout", "1min", env={**os.environ, "LD_PRELOAD": library, "COUNTS": counts})

        def count():
            with open(counts, "rb") as file:
                return int.from_bytes(file.read(8), "little")

        def memory():
            with open("/proc/%d/status" % keeper.pid) as file:
                return re.search(r"VmData:\s*(\d+)", file.read()).group(1)

        fake.dump()
        before = count(), memory()
        self.assertGreater(before[0], 0)  # it counts: the environment is prepared at start
        for _ in range(3):
            names = [["n%d %d" % (i, n) for n in range(MOST)] for i in range(4)]
            for batch in names:
                fake.say("\n".join(["put", *batch]), [self.memfd()] * MOST)
            pid, _ = fake.fork_worker()
            fake.put(worker=self.pidfd(pid))
            fake.say("signal\n10 worker")
            fake.say("nonsense")
            fake.hear()
            for batch in names[1:]:
                fake.say("\n".join(["drop", *batch]))
            keeper.signal(signal.SIGHUP)
            self.assertEqual(fake.next(), {"signal": signal.SIGHUP})
            fake.kill()
            fake = self.next_fake().ready()
            fake.dump()
            fake.exit(79)
            fake = self.next_fake().ready()
            self.assertEqual(fake.dump()["start"]["reason"], "upgrade")
        self.assertEqual((count(), memory()), before)

    def test_its_private_memory_is_at_most_512_KiB(self):
        if FACTOR > 1:
            self.skip("the sanitizers have memory of their own")
        keeper, fake = self.kept()
        fake.say("\n".join(["put", *map(str, range(100))]), [self.memfd()] * 100)
        fake.dump()
        with open("/proc/%d/smaps_rollup" % keeper.pid) as file:
            text = file.read()
        private = sum(int(re.search(r"%s:\s*(\d+) kB" % key, text).group(1)) for key in ("Private_Clean", "Private_Dirty"))
        self.assertLessEqual(private, 512)

    def test_it_sleeps_when_nothing_happens(self):
        keeper, fake = self.kept()
        fake.agree_with_keeper()

        def switches():
            with open("/proc/%d/status" % keeper.pid) as file:
                return [int(n) for n in re.findall(r"ctxt_switches:\s*(\d+)", file.read())]

        wait_for("it to sleep", lambda: state_of(keeper.pid) == "S")
        before = switches()
        time.sleep(2)  # what is measured is that nothing happens in this time
        self.assertEqual(switches(), before)

    def test_what_it_cannot_understand_or_find_is_said(self):
        for arguments, status, words in ((["--nonsense", "x"], 2, "unknown option --nonsense"), ([], 2, "no program"),
                                         (["--stop-timeout"], 2, "no time"), (["--stop-timeout=soon", "x"], 2, "not a time"),
                                         (["--ready-timeout", "0", "x"], 2, "not a time"), (["--", "no-such-program"], 127, "No such file"),
                                         (["--", "/etc/passwd"], 126, "Permission denied")):
            done = subprocess.run([program("holdfast-keeper"), *arguments], stderr=subprocess.PIPE, text=True, timeout=DEADLINE, check=False)
            self.assertEqual(done.returncode, status, arguments)
            self.assertTrue(done.stderr.startswith("holdfast-keeper: ") and words in done.stderr, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)


HOARDER = """
import os, socket, sys
pairs = [socket.socketpair() for _ in range(int(sys.argv[1]) // 200 + 1)]
for one, _ in pairs:
    socket.send_fds(one, [b"x"], [0] * 200)
print("full", flush=True)
sys.stdin.read()
"""

COUNTER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);
static long *count, none;
__attribute__((constructor)) static void open_counts(void) {
    /* What the keeper starts counts nothing. */
    if (strcmp(program_invocation_short_name, "holdfast-keeper") == 0 && getenv("COUNTS") != NULL)
        count = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, open(getenv("COUNTS"), O_RDWR | O_CLOEXEC), 0);
    else
        count = &none;
}
static void add(void) { if (count) ++*count; }
void *malloc(size_t n) { add(); return __libc_malloc(n); }
void *calloc(size_t n, size_t m) { add(); return __libc_calloc(n, m); }
void *realloc(void *p, size_t n) { add(); return __libc_realloc(p, n); }
"""


if __name__ == "__main__":
    main()
