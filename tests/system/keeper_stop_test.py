# SPDX-License-Identifier: Apache-2.0
"""How holdfast-keeper stops, and what becomes of the workers when holdfastd cannot see to it."""
import os
import signal
import time

from harness import FACTOR, PYTHON, command_of, has_ended, main, state_of, status_of, wait_for
from keeper import KeeperStory

TIMEOUT = 0.5 * FACTOR
SHORT = "%dms" % (TIMEOUT * 1000)


class Stopping(KeeperStory):
    def test_signals_are_forwarded_and_an_orderly_stop_is_waited_for(self):
        keeper, fake = self.kept("--stop-timeout", SHORT)
        keeper.signal(signal.SIGHUP)
        self.assertEqual(fake.next(), {"signal": signal.SIGHUP})
        keeper.signal(signal.SIGTERM)
        self.assertEqual(fake.next(), {"signal": signal.SIGTERM})
        fake.say("stopping")
        fake.agree_with_keeper()
        time.sleep(TIMEOUT * 1.5)  # longer than the timeout, which does not count any more
        self.assertIsNone(keeper.process.poll())
        keeper.signal(signal.SIGINT)
        self.assertEqual(fake.next(), {"signal": signal.SIGINT})
        fake.exit(0)
        self.assertEqual(keeper.wait(), 0)
        self.assertEqual(self.said(), "")

    def script(self, *lines):
        path = os.path.join(self.folder, "slow-daemon")
        with open(path, "w") as file:
            file.write("\n".join(["#!/bin/sh", ": >%s/begun" % self.folder, *lines, ""]))
        os.chmod(path, 0o755)
        return path

    def signalled_early(self, *lines, options=()):
        """A keeper whose program has not said anything when the stop comes."""
        keeper = self.keeper(*options, program_path=self.script(*lines))
        wait_for("the program to run", lambda: os.path.exists(os.path.join(self.folder, "begun")))
        for number in (signal.SIGHUP, signal.SIGTERM):
            keeper.signal(number)
        wait_for("the keeper to hear", lambda: int(status_of(keeper.pid)["ShdPnd"], 16) == 0 and state_of(keeper.pid) == "S")
        return keeper

    def test_what_comes_before_it_can_hear_waits_until_it_speaks(self):
        keeper = self.signalled_early("until [ -e %s/go ]; do sleep 0.01; done" % self.folder, 'exec %s "$@"' % PYTHON)
        with open(os.path.join(self.folder, "go"), "w"):
            pass
        fake = self.next_fake()
        fake.say("dump")
        self.assertEqual([fake.next() for _ in range(2)], [{"signal": signal.SIGHUP}, {"signal": signal.SIGTERM}])
        fake.exit(0)
        self.assertEqual(keeper.wait(), 0)

    def test_one_that_never_speaks_is_stopped_all_the_same(self):
        # The time that it has to hear a signal does not begin before it is sent.
        keeper = self.signalled_early('trap "" HUP', 'trap "exit 0" TERM', "while :; do sleep 0.01; done",
                                      options=("--stop-timeout", SHORT))
        self.assertEqual(keeper.wait(), 0)
        self.assertNotIn("does not stop", self.said())

    def test_a_signal_to_the_group_of_the_keeper_comes_once(self):
        keeper, fake = self.kept(start_new_session=True)
        os.killpg(keeper.pid, signal.SIGINT)
        self.assertEqual(fake.next(), {"signal": signal.SIGINT})
        keeper.signal(signal.SIGHUP)
        self.assertEqual(fake.next(), {"signal": signal.SIGHUP})
        fake.exit(0)
        self.assertEqual(keeper.wait(), 0)

    def test_one_that_does_not_hear_is_killed_with_all_that_it_left(self):
        keeper, fake = self.kept("--stop-timeout=" + SHORT)
        kept, _ = fake.fork_worker()
        unknown, _ = fake.fork_worker()
        fake.put(worker_web_1=self.pidfd(kept))
        keeper.signal(signal.SIGTERM)
        self.assertEqual(keeper.wait(), 1)
        for pid in (fake.pid, kept, unknown):
            self.assertTrue(has_ended(pid), command_of(pid))
        self.assertIn("does not stop", self.said())

    def stopping(self, how, *options):
        """A keeper, a fake that is to stop, and a worker of it."""
        keeper, fake = self.kept(*options)
        pid, _ = fake.fork_worker()
        fake.put(worker_web_1=self.pidfd(pid))
        fake.agree_with_keeper()
        if how == "signal":
            keeper.signal(signal.SIGTERM)
            fake.next()
        else:
            fake.say("stopping")
            fake.agree_with_keeper()
        return keeper, fake, pid

    def test_after_a_crash_while_it_stops_the_next_one_goes_on_stopping(self):
        for how in ("signal", "stopping"):
            with self.subTest(how):
                keeper, fake, worker = self.stopping(how, "--stop-timeout", SHORT)
                for _ in range(2):
                    fake.kill()
                    fake = self.next_fake()
                    self.assertEqual(list(fake.dump()["held"]), ["worker web 1"])
                    self.assertEqual(fake.next(), {"signal": signal.SIGTERM})
                fake.say("stopping")
                time.sleep(TIMEOUT * 1.5)
                self.assertFalse(has_ended(worker))
                os.kill(worker, signal.SIGTERM)
                fake.say("drop\nworker web 1")
                fake.exit(0)
                self.assertEqual(keeper.wait(), 0)

    def test_one_that_cannot_stop_ends_its_workers(self):
        for how in ("signal", "stopping"):
            with self.subTest(how):
                keeper, fake, worker = self.stopping(how)
                for _ in range(2):
                    fake.kill()
                    fake = self.next_fake()
                    fake.dump()
                    self.assertEqual(fake.next(), {"signal": signal.SIGTERM})
                fake.kill()
                self.assertEqual(keeper.wait(), 1)
                self.assertTrue(has_ended(worker))
                self.assertTrue(self.no_fake_waits())

    def test_a_crash_while_it_stops_with_no_worker_left_is_the_end(self):
        keeper, fake = self.kept()
        fake.say("stopping")
        fake.agree_with_keeper()
        fake.kill()
        self.assertEqual(keeper.wait(), 1)
        self.assertTrue(self.no_fake_waits())

    def in_back_off(self):
        """Nobody runs, and the next start is 3 s away."""
        keeper, fake = self.kept()
        kept, _ = fake.fork_worker()
        other, _ = fake.fork_worker()
        fake.put(worker_web_1=self.pidfd(kept), process_other=self.pidfd(other))
        for _ in range(6):
            fake.kill()
            fake = self.next_fake()
        fake.kill()
        wait_for("none to run", lambda: self.said().count("started again") == 7)
        keeper.signal(signal.SIGHUP)
        return keeper, kept, other

    def test_while_none_runs_a_stop_signal_is_for_the_next_that_is_started_at_once(self):
        keeper, kept, _ = self.in_back_off()
        keeper.signal(signal.SIGTERM)
        fake = self.next_fake()
        fake.dump()
        self.assertEqual(fake.next(), {"signal": signal.SIGTERM})
        self.assertFalse(has_ended(kept))
        fake.exit(0)
        self.assertEqual(keeper.wait(), 0)

    def test_while_none_can_be_started_a_second_stop_signal_ends_the_kept_workers(self):
        keeper, kept, other = self.in_back_off()
        os.kill(keeper.pid, signal.SIGSTOP)  # so that it hears both at once
        keeper.signal(signal.SIGTERM)
        keeper.signal(signal.SIGINT)
        os.kill(keeper.pid, signal.SIGCONT)
        self.assertEqual(keeper.wait(), 0)
        self.assertTrue(has_ended(kept))
        self.assertFalse(has_ended(other))
        self.assertTrue(self.no_fake_waits())

    def test_with_a_worker_ends_its_group(self):
        keeper, fake = self.kept()
        leader, member = fake.fork_group()
        led, other = fake.fork_group()  # its main process is another one, in no group of its own
        main, _ = fake.fork_worker()
        fake.put(worker_web_1=self.pidfd(leader), worker_web_2=self.pidfd(main), leader_web_2=self.pidfd(led))
        keeper.signal(signal.SIGTERM)
        for number in range(3):
            self.assertEqual(fake.next(), {"signal": signal.SIGTERM})
            fake.die(signal.SIGTERM)
            if number < 2:
                fake = self.next_fake().ready()
        self.assertEqual(keeper.wait(), 0)
        for pid in (leader, member, led, other, main):
            wait_for("the end of all", lambda pid=pid: has_ended(pid))

    def test_the_code_of_a_failed_stop_is_passed_on(self):
        keeper, fake = self.kept()
        keeper.signal(signal.SIGINT)
        fake.next()
        fake.exit(4)
        self.assertEqual(keeper.wait(), 4)


if __name__ == "__main__":
    main()
