# SPDX-License-Identifier: Apache-2.0
"""A release that comes up and fails on probation: within a second of its fault the old one has all traffic again. One that is never
well does not get any. On one listener for all, and on shards."""
import os
import time

from harness import FACTOR, Story, main, program, tcp, unit_text
from witness import Witness, last_of

WITHIN = 1 * FACTOR
# So often that the fault is found out soon, so patient that a busy machine is no fault.
HEALTH = {"http": "/healthz", "interval": "100ms", "timeout": "%ds" % (5 * FACTOR), "failures": 1}


class RollBack(Story):
    def unit(self, release, sharded, *arguments, health=HEALTH, **service):
        tables = {"health": health} if health else {}
        return unit_text([tcp(**({"reuse_port": True} if sharded else {}))],
                         {"type": "notify", "workers": 2, "exec_start": [program("holdfast-webserver"), "--release", release, *arguments],
                          "timeout_start": "%ds" % (10 * FACTOR), **service},
                         rollout={"probation": "%ds" % (20 * FACTOR), "drain_timeout": "%ds" % (10 * FACTOR)}, **tables)

    def daemon_of(self, sharded, **more):
        return self.daemon({"web": self.unit("good", sharded, **more)}, folder="shards" if sharded else "plain")

    def witness(self, daemon):
        witness = Witness(daemon.port("web"), timeout=10 * FACTOR)
        self.addCleanup(witness.finish)
        return witness

    def apply(self, daemon, bad):
        """Begins to roll it out."""
        daemon.write("web", bad)
        return daemon.popen("apply")

    def refused(self, daemon, command, words):
        """It ends with status 1 and says why, and so does the report; the old generation is whole."""
        out, err = command.communicate(timeout=30 * FACTOR)
        self.assertEqual(command.returncode, 1, out + err)
        self.assertIn(words, out + err)
        self.assert_says(daemon.run("rollout", "status", "web"), 1, "failed", words)
        report = daemon.run("report", "web", "--json").json["report"]
        self.assertEqual((report["verdict"], report["previous_generation"]), ("failed", 1))
        self.assertIn(words, report["reason"])
        self.assertEqual([w["state"] for w in daemon.workers("web") if w["generation"] == 1], ["ready"] * 2)

    def came_back(self, witness, fault):
        """What was seen; the old release answers all that began a second after the fault, or sooner."""
        time_left = fault + WITHIN - time.monotonic()
        witness.ended.wait(max(0, time_left) + 0.2)  # a while beyond it
        seen = witness.finish()
        self.assertGreater(len([one for one in seen if one.release == "bad"]), 0, "it has served")
        self.assertLess(last_of(seen, "bad") - fault, WITHIN, [one for one in seen if one.failure])
        self.assertGreater(len([one for one in seen if one.sent > fault + WITHIN]), 0, "it was watched for so long")
        return seen

    def crashes(self, sharded):
        daemon = self.daemon_of(sharded)
        witness = self.witness(daemon)
        command = self.apply(daemon, self.unit("bad", sharded, "--crash-after", "600ms"))
        daemon.wait_event("took-over", "web")
        died = daemon.wait_event("worker-died", "web", where=lambda event: event["generation"] != 1)
        seen = self.came_back(witness, died["monotonic_usec"] / 1e6)
        # What they held, and no more: nobody is left waiting where no one accepts, or turned away.
        failed = [one for one in seen if one.failure]
        self.assertLessEqual(len(failed), 8, failed)
        self.refused(daemon, command, "exit code 70")

    def test_one_that_crashes_on_probation(self):
        self.crashes(False)

    def test_one_that_crashes_on_probation_of_its_shards(self):
        self.crashes(True)

    def falls_ill(self, sharded):
        daemon = self.daemon_of(sharded)
        ill = os.path.join(self.folder, "ill")
        witness = self.witness(daemon)
        command = self.apply(daemon, self.unit("bad", sharded, "--unhealthy-if", ill))
        daemon.wait_event("took-over", "web")
        began = time.monotonic()
        witness.ended.wait(0.2)
        fault = time.monotonic()
        with open(ill, "w"):
            pass
        seen = self.came_back(witness, fault)
        self.assertGreater(len([one for one in seen if one.release == "bad" and one.sent > began]), 0)
        self.assertEqual([one for one in seen if one.failure], [])
        self.refused(daemon, command, "GET /healthz answered 500")

    def test_one_that_answers_500_on_probation(self):
        self.falls_ill(False)

    def test_one_that_answers_500_on_probation_on_its_shards(self):
        self.falls_ill(True)

    def test_one_that_answers_500_from_the_beginning_never_takes_over(self):
        for sharded in (False, True):
            with self.subTest(sharded=sharded):
                daemon = self.daemon_of(sharded)
                witness = self.witness(daemon)
                command = self.apply(daemon, self.unit("bad", sharded, "--unhealthy"))
                self.refused(daemon, command, "GET /healthz answered 500")
                events = [event["kind"] for event in daemon.call("Events")["events"]]
                self.assertNotIn("took-over", events)
                self.assertNotIn("worker-ready", events[events.index("rollout-began"):])
                seen = witness.finish()
                self.assertGreater(len(seen), 3)  # it takes as long as one start and one probe
                self.assertEqual([one for one in seen if one.failure], [])
                if sharded:  # where the listener is everybody's, who accepts is not ours to say
                    self.assertEqual({one.release for one in seen}, {"good"})

    def test_one_that_is_never_well_and_says_no_ready_has_its_start_deadline(self):
        """Where only running is the sign, it may take timeout_start to get well."""
        daemon = self.daemon_of(True)
        bad = self.unit("bad", True, "--unhealthy", timeout_start="%dms" % (1000 * FACTOR)).replace('type = "notify"', 'type = "exec"')
        self.refused(daemon, self.apply(daemon, bad), "(timeout_start); GET /healthz answered 500")

    def test_one_that_never_comes_up_costs_its_shards_nothing(self):
        daemon = self.daemon_of(True)
        load = self.load(daemon.port("web"), seconds=1.0)
        for bad, words, more in (("--crash-at-start", "exit code 1", {}),
                                 ("--never-ready", "was not ready within 300ms", {"timeout_start": "300ms"})):
            command = self.apply(daemon, self.unit("bad", True, bad, health=None, **more))
            self.refused(daemon, command, words)
        result = load.finish()
        self.assert_clean(result, least=100)
        self.assertEqual([body for body in result["answers"] if "release=good" not in body], [])


if __name__ == "__main__":
    main()
