# SPDX-License-Identifier: Apache-2.0
"""[health]: each worker is asked, on a listener of its own, whether it is well."""
import os

from harness import FACTOR, Story, main, program, tcp, unit_text, wait_for

HTTP = {"http": "/healthz", "interval": "50ms", "timeout": "%ds" % (5 * FACTOR)}


def web(arguments=(), health=None, **service):
    return unit_text([tcp()], {"type": "notify", "exec_start": [program("holdfast-webserver"), *arguments], "timeout_start": "%ds" % (10 * FACTOR),
                               **service}, health=health or HTTP, rollout={"drain_timeout": "%ds" % (10 * FACTOR)})


class Health(Story):
    def test_each_kind_of_probe_lets_a_good_release_through(self):
        kinds = {"http": HTTP, "tcp": {"tcp": True}, "exec": {"exec": ["/bin/sh", "-c", "test -n \"$HOLDFAST_PROBE_ADDRESS\""]}}
        for kind, health in kinds.items():
            for type in ("notify", "exec"):
                with self.subTest(kind, type=type):
                    daemon = self.daemon({"web": web(health=health, type=type)}, folder=kind + type)
                    old = daemon.pid_of("web")
                    self.assert_says(daemon.run("restart", "web"), 0)
                    self.assertNotEqual(daemon.pid_of("web"), old)
                    self.assertEqual(len(daemon.sockets("web")), 1)  # the private one is nobody's to see
                    self.assertEqual(daemon.end(), 0)

    def test_a_worker_finds_its_private_listener_last_and_by_name(self):
        names = os.path.join(self.folder, "names")
        unit = unit_text([tcp()], {"type": "exec", "exec_start": ["/bin/sh", "-c", "echo $LISTEN_FDS $LISTEN_FDNAMES > %s.new; mv %s.new %s; exec sleep 1000"
                                                                  % (names, names, names)]},
                         health={"exec": ["/usr/bin/test", "-e", names]})
        self.daemon({"web": unit})
        wait_for("the worker to say what it was given", lambda: os.path.exists(names))
        with open(names) as file:
            self.assertEqual(file.read(), "2 http:health\n")

    def test_each_answer_that_changes_is_a_fact_and_no_other_is(self):
        bad = os.path.join(self.folder, "bad")
        health = {"exec": ["/bin/sh", "-c", "echo . >> %s.seen; ! test -e %s" % (bad, bad)], "interval": "20ms", "timeout": HTTP["timeout"]}
        daemon = self.daemon({"web": web(health=health)})
        seen = lambda: os.path.exists(bad + ".seen") and os.path.getsize(bad + ".seen") // 2
        wait_for("20 probes", lambda: seen() >= 20)
        # What it passed before it said READY=1 is shown once more.
        self.assertIn(daemon.run("trace", "web").text.count("probe-passed worker=1"), (1, 2))
        with open(bad, "w"):
            pass
        wait_for("a failure", lambda: "probe-failed worker=1" in daemon.run("trace", "web").text)


if __name__ == "__main__":
    main()
