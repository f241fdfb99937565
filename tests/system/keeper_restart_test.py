# SPDX-License-Identifier: Apache-2.0
"""holdfast-keeper when holdfastd ends: restart, back-off, upgrade, fall-back; and when it becomes a new keeper itself."""
import os
import shutil
import signal
import time

from harness import FACTOR, children_of, has_ended, main, program, wait_for
from keeper import SOFT_LIMIT, START_SUCCESSOR, KeeperStory

TIMEOUT = 0.5 * FACTOR
SHORT = "%dms" % (TIMEOUT * 1000)


class Restarting(KeeperStory):
    def test_a_crash_after_ready_is_followed_by_a_start_at_once(self):
        _, fake = self.kept()
        before = time.monotonic()
        fake.kill(signal.SIGSEGV)
        fake = self.next_fake().ready()
        self.assertLess(time.monotonic() - before, 2 * FACTOR)
        fake.exit(3)  # it was ready once, so this is a crash too
        dump = self.next_fake().dump()
        self.assertEqual((dump["start"]["reason"], dump["start"]["previous_exit"], dump["start"]["starts"]), ("crash", "1 3", "3"))
        self.assertIn("was killed by SIGSEGV; it is started again", self.said())

    def test_one_that_keeps_dying_is_started_after_growing_delays(self):
        self.keeper()
        times = []
        for _ in range(6):
            fake = self.next_fake()
            times.append(time.monotonic())
            fake.kill()
        delays = [after - before for before, after in zip(times, times[1:])]
        for delay, least in zip(delays, (0, 0.1, 0.2, 0.4, 0.8)):
            self.assertGreaterEqual(delay, least)
        self.assertLess(delays[0], delays[-1])

    def test_one_that_asked_to_be_missed_and_is_no_longer_heard_is_killed(self):
        _, fake = self.kept()
        for _ in range(3):
            fake.say("alive\n%d" % (2000000 * TIMEOUT))
            fake.agree_with_keeper()
        before = time.monotonic()
        os.kill(fake.pid, signal.SIGSTOP)
        second = self.next_fake().ready()
        self.assertGreater(time.monotonic() - before, TIMEOUT)
        self.assertEqual(second.dump()["start"]["previous_exit"], "2 9")
        self.assertIn("stands still; it is killed", self.said())
        second.say("alive\n1000")  # each is asked for itself
        self.assertEqual(self.next_fake().dump()["start"]["starts"], "3")

    def test_one_that_lived_resets_the_delay(self):
        _, fake = self.kept()
        for _ in range(6):
            fake.kill()
            fake = self.next_fake()
        fake.ready()
        time.sleep(1.1)  # a life that counts as long
        fake.kill()
        before = time.monotonic()
        self.next_fake()
        self.assertLess(time.monotonic() - before, 1.5)  # else 1.6 s and its own start

    def test_exit_0_lets_everything_go(self):
        keeper, fake = self.kept()
        pid, _ = fake.fork_worker()
        fake.put(worker=self.pidfd(pid))
        fake.exit(0)
        self.assertEqual(keeper.wait(), 0)
        self.assertFalse(has_ended(pid))
        self.assertEqual(self.said(), "")

    def test_a_start_error_is_passed_on(self):
        keeper = self.keeper()
        self.next_fake().exit(43)
        self.assertEqual(keeper.wait(), 43)

    def test_a_start_error_after_a_crash_is_passed_on_only_if_none_was_ever_ready(self):
        keeper = self.keeper()
        self.next_fake().kill()
        self.next_fake().ready().kill()
        self.next_fake().exit(43)
        self.assertEqual(self.next_fake().dump()["start"]["previous_exit"], "1 43")
        self.assertIsNone(keeper.process.poll())

    def test_it_is_started_from_the_file_that_ran_whatever_is_at_its_path(self):
        path = self.install()
        ran = os.stat(path).st_ino
        _, fake = self.kept(program_path=path)
        self.deploy(path, "/bin/false")
        fake.kill()
        fake = self.next_fake().ready()
        self.assertEqual(self.file_of(fake.pid), ran)
        os.unlink(path)
        fake.kill()
        self.assertEqual(self.file_of(self.next_fake().pid), ran)

    def test_a_script_is_started_by_its_path_and_found_along_PATH(self):
        script = os.path.join(self.folder, "some-daemon")
        with open(script, "w") as file:
            file.write("#!/bin/sh\nexec /usr/bin/env python3 \"$@\"\n")
        os.chmod(script, 0o755)
        path = "%s:%s" % (self.folder, os.environ["PATH"])
        _, fake = self.kept(program_path="some-daemon", env={**os.environ, "PATH": path})
        fake.kill()
        self.next_fake()


class Upgrading(KeeperStory):
    def begin(self, *options):
        self.path = self.install()
        self.before = os.stat(self.path).st_ino
        self.the_keeper, fake = self.kept(*options, program_path=self.path)
        fake.put(listener_web=self.memfd("held"))
        return fake

    def leave(self, fake):
        fake.agree_with_keeper()
        fake.exit(START_SUCCESSOR)

    def assert_fell_back(self, problem):
        fake = self.next_fake().ready()
        self.assertEqual(self.file_of(fake.pid), self.before)
        dump = fake.dump()
        self.assertEqual((dump["start"]["reason"], dump["start"]["upgrade"]), ("fallback", "failed"))
        self.assertIn(problem, dump["start"]["problem"])
        self.assertEqual(list(dump["held"]), ["listener web"])
        self.assertIn("the upgrade failed: it ", self.said())
        return fake

    def test_the_successor_is_what_is_at_the_path_now(self):
        fake = self.begin()
        after = self.deploy_python(self.path)
        self.leave(fake)
        successor = self.next_fake()
        dump = successor.dump()
        self.assertEqual(self.file_of(successor.pid), after)
        self.assertEqual((dump["start"]["reason"], dump["start"]["upgrade"], dump["start"]["previous_exit"]), ("upgrade", "ok", "1 79"))
        self.assertEqual(list(dump["held"]), ["listener web"])
        successor.ready()
        successor.agree_with_keeper()
        self.deploy(self.path, "/bin/false")
        successor.kill()  # it is the one that is started again now
        again = self.next_fake()
        self.assertEqual(self.file_of(again.pid), after)
        start = again.dump()["start"]
        self.assertEqual((start["reason"], start["upgrade"]), ("crash", "none"))

    def stopped_on_its_way_out(self, fake):
        """It is told to stop when it does not hear any more, and makes way."""
        pid, _ = fake.fork_worker()
        fake.put(worker_web_1=self.pidfd(pid))
        fake.agree_with_keeper()
        self.the_keeper.signal(signal.SIGTERM)
        self.assertEqual(fake.next(), {"signal": signal.SIGTERM})
        fake.exit(START_SUCCESSOR)
        return pid

    def assert_stops_in_order(self, fake, worker):
        self.assertEqual(fake.dump()["held"].keys(), {"listener web", "worker web 1"})
        self.assertEqual(fake.next(), {"signal": signal.SIGTERM})
        self.assertFalse(has_ended(worker))
        os.kill(worker, signal.SIGTERM)
        fake.exit(0)
        self.assertEqual(self.the_keeper.wait(), 0)

    def test_a_stop_that_comes_too_late_for_one_is_its_successors(self):
        fake = self.begin()
        after = self.deploy_python(self.path)
        worker = self.stopped_on_its_way_out(fake)
        successor = self.next_fake()
        self.assertEqual(self.file_of(successor.pid), after)
        self.assert_stops_in_order(successor, worker)

    def test_a_stop_that_comes_too_late_is_heard_also_when_the_successor_fails(self):
        fake = self.begin()
        self.deploy(self.path, "/bin/false")
        worker = self.stopped_on_its_way_out(fake)
        before = self.next_fake()
        self.assertEqual(self.file_of(before.pid), self.before)
        self.assert_stops_in_order(before, worker)

    def test_a_successor_that_makes_way_before_it_is_ready_is_not_started_again_and_again(self):
        fake = self.begin()
        script = os.path.join(self.folder, "script")
        with open(script, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\nexit %d\n" % START_SUCCESSOR)
        self.deploy(self.path, script)
        worker = self.stopped_on_its_way_out(fake)
        before = self.next_fake()
        self.assertEqual(self.file_of(before.pid), self.before)
        self.assert_stops_in_order(before, worker)

    def test_a_stop_is_in_time_for_nobody_that_hangs(self):
        fake = self.begin("--stop-timeout", SHORT)
        self.deploy_python(self.path)
        worker = self.stopped_on_its_way_out(fake)
        hanging = self.next_fake()
        self.assertEqual(self.the_keeper.wait(), 1)
        for pid in (hanging.pid, worker):
            self.assertTrue(has_ended(pid))
        self.assertIn("does not stop", self.said())

    def test_a_successor_that_cannot_be_executed(self):
        fake = self.begin()
        self.deploy(self.path, "/etc/passwd", 0o644)
        self.leave(fake)
        self.assert_fell_back("it cannot be executed: Permission denied")

    def test_a_successor_that_is_no_program(self):
        fake = self.begin()
        self.deploy(self.path, "/etc/passwd", 0o755)
        self.leave(fake)
        self.assert_fell_back("it cannot be executed: Exec format error")

    def test_a_successor_that_is_not_there(self):
        fake = self.begin()
        os.unlink(self.path)
        self.leave(fake)
        self.assert_fell_back("it cannot be opened: No such file or directory")

    def test_a_successor_that_ends_at_once_is_tried_twice(self):
        fake = self.begin()
        for program_, problem in (("/bin/false", "it ended with status 1 before it was ready, twice"),
                                  ("/bin/true", "it ended with status 0 before it was ready, twice")):
            with self.subTest(program_):
                self.deploy(self.path, program_)
                self.leave(fake)
                fake = self.assert_fell_back(problem)
        self.assertEqual(self.said().count("once more"), 2)

    def test_a_successor_that_ends_once_may_still_do(self):
        fake = self.begin()
        after = self.deploy_python(self.path)
        self.leave(fake)
        self.next_fake().kill()
        successor = self.next_fake().ready()
        self.assertEqual(self.file_of(successor.pid), after)
        self.assertEqual(successor.dump()["start"]["reason"], "upgrade")

    def test_a_successor_that_hangs(self):
        fake = self.begin("--ready-timeout", "%dms" % (1000 * FACTOR))
        after = self.deploy_python(self.path)
        self.leave(fake)
        hanging = self.next_fake()
        self.assertEqual(self.file_of(hanging.pid), after)
        fake = self.assert_fell_back("it was not ready within %d ms" % (1000 * FACTOR))
        self.assertTrue(has_ended(hanging.pid))
        fake.kill()  # the news of the failed upgrade was told, so the next start is an ordinary one
        start = self.next_fake().dump()["start"]
        self.assertEqual((start["reason"], start["upgrade"], start["problem"]), ("crash", "none", ""))

    def test_the_failure_is_told_until_one_was_ready_that_heard_it(self):
        fake = self.begin()
        self.deploy(self.path, "/bin/false")
        self.leave(fake)
        self.next_fake().kill()
        start = self.next_fake().dump()["start"]
        self.assertEqual((start["reason"], start["upgrade"]), ("crash", "failed"))

    def test_what_ends_while_the_successor_starts_is_told(self):
        fake = self.begin()
        pid, _ = fake.fork_worker()
        self.leave(fake)
        os.kill(pid, signal.SIGKILL)
        successor = self.next_fake()
        exits = successor.dump()["exits"] or [tuple(map(int, successor.hear()[0].split()[1:]))]
        self.assertEqual(exits, [(pid, 2, 9)])


class ReExecuting(KeeperStory):
    def own(self):
        """A copy of the keeper, which can be replaced."""
        self.path = os.path.join(self.folder, "holdfast-keeper")
        shutil.copy(program("holdfast-keeper"), self.path)
        return self.path

    def re_execute(self, keeper):
        after = self.deploy(self.path, program("holdfast-keeper"))
        keeper.signal(signal.SIGUSR2)
        wait_for("the new keeper", lambda: self.file_of(keeper.pid) == after)

    def test_everything_stays_in_hand(self):
        keeper, fake = self.kept("--stop-timeout", SHORT, binary=self.own())
        worker, talk = fake.fork_worker()
        gone, _ = fake.fork_worker()
        fake.kill()
        fake = self.next_fake().ready()
        os.kill(gone, signal.SIGKILL)
        listener, state = self.memfd("listener"), self.memfd("state")
        fake.put(listener_web=listener, worker_web_1=self.pidfd(worker))
        fake.say("state", [state])
        fake.say("signal\n10 worker web 1")
        self.assertEqual(talk.recv(10), b"10")
        fake.say("nonsense")
        while fake.hear()[0].startswith("exits"):
            pass
        before = fake.dump()
        fds = self.held_by(keeper)
        for _ in range(3):
            self.re_execute(keeper)
            after = fake.dump()  # over the same socket
            self.assertEqual(after["start"], before["start"])
            self.assertEqual(after["exits"], [(gone, 2, 9)])
            self.assertEqual({k: v[:2] for k, v in after["held"].items()}, {"listener web": (0, 0), "worker web 1": (1, 10)})
            self.assert_same_file(after["held"]["listener web"][2], listener)
            self.assert_same_file(after["state"], state)
            self.assertEqual(self.held_by(keeper), fds)
        os.kill(worker, signal.SIGTERM)
        self.assertEqual(fake.hear()[0], "exits\n%d 1 7" % worker)  # still its child
        fake.kill()
        fake = self.next_fake().ready()
        self.assertEqual(fake.hello["limit"], SOFT_LIMIT)
        self.assertEqual(len(fake.hello["variables"]), 1)
        self.assertEqual(fake.dump()["start"]["starts"], "3")
        keeper.signal(signal.SIGTERM)
        self.assertEqual(fake.next(), {"signal": signal.SIGTERM})
        fake.exit(0)
        self.assertEqual(keeper.wait(), 0)

    def test_nothing_is_lost_when_it_happens_under_load(self):
        """Puts, signals, crashes of holdfastd and ends of its workers, while it re-executes itself all the time."""
        keeper, fake = self.kept(binary=self.own())
        fake.dump()
        fd, names, ended, told, counted = self.memfd(), set(), [], [], 0
        watched, talk = fake.fork_worker()
        fake.put(worker_watched=self.pidfd(watched))
        orphans = [fake.fork_worker()[0] for _ in range(24)]
        fake.kill()
        fake = self.next_fake().ready()
        for round_ in range(24):
            keeper.signal(signal.SIGUSR2)
            batch = ["n %d %d" % (round_, i) for i in range(40)]
            fake.say("\n".join(["put", *batch]), [fd] * len(batch))
            names.update(batch)
            os.kill(orphans[round_], signal.SIGKILL)
            ended.append((orphans[round_], 2, 9))
            fake.say("signal\n%d worker watched" % signal.SIGRTMIN)
            counted += 1
            fake.say("drop\n" + batch[0])
            names.discard(batch[0])
            if round_ in (10, 20):
                fake.keeper.close()
                fake.kill()
                fake = self.next_fake().ready()
        dump = fake.dump()
        told = dump["exits"]
        while len(told) < len(ended):
            told += [tuple(map(int, line.split())) for line in fake.hear()[0].split("\n")[1:]]
        self.assertEqual(sorted(told), sorted(ended))
        self.assertEqual(set(dump["held"]), names | {"worker watched"})
        self.assertEqual(dump["held"]["worker watched"][:2], (counted, signal.SIGRTMIN))
        self.assertEqual([talk.recv(10) for _ in range(counted)], [b"%d" % signal.SIGRTMIN] * counted)
        self.assertEqual(dump["start"]["starts"], "4")

    def test_an_upgrade_under_way_goes_on(self):
        path = self.install()
        before = os.stat(path).st_ino
        keeper, fake = self.kept("--ready-timeout", "%dms" % (2000 * FACTOR), program_path=path, binary=self.own())
        self.deploy_python(path)
        fake.exit(START_SUCCESSOR)
        hanging = self.next_fake()
        self.re_execute(keeper)
        fake = self.next_fake()
        self.assertTrue(has_ended(hanging.pid))
        self.assertEqual(self.file_of(fake.pid), before)
        self.assertEqual(fake.dump()["start"]["upgrade"], "failed")

    def test_a_stop_under_way_goes_on(self):
        keeper, fake = self.kept("--stop-timeout", "%dms" % (1000 * FACTOR), binary=self.own())
        keeper.signal(signal.SIGTERM)
        fake.next()
        self.re_execute(keeper)
        self.assertEqual(keeper.wait(), 1)
        self.assertTrue(has_ended(fake.pid))

    def test_a_back_off_under_way_goes_on(self):
        keeper, fake = self.kept(binary=self.own())
        for _ in range(5):
            fake.kill()
            fake = self.next_fake()
        fake.kill()
        wait_for("none to run", lambda: not children_of(keeper.pid))
        self.re_execute(keeper)
        self.assertEqual(self.next_fake().dump()["start"]["starts"], "7")

    def test_it_goes_on_as_it_is_where_there_is_nothing_to_become(self):
        keeper, fake = self.kept(binary=self.own())
        fake.put(a=self.memfd())
        self.deploy(self.path, "/etc/passwd", 0o644)
        keeper.signal(signal.SIGUSR2)
        self.wait_said("everything stays as it is")
        self.assertEqual(list(fake.dump()["held"]), ["a"])
        fake.kill()
        fake = self.next_fake().ready()
        # Nothing that the keeper holds became inheritable.
        self.assert_nothing_else_is_open(fake.hello)


if __name__ == "__main__":
    main()
