# SPDX-License-Identifier: Apache-2.0
"""A worker that dumps core is replaced when the dump begins, not when it has been written."""
import os
import re
import signal
import subprocess
import time

from harness import FACTOR, HERE, PYTHON, Story, http_get, is_root, main, program, toml, wait_ended, wait_for, web


LARGE = os.path.join(HERE, "large_worker.py")


class CoreDump(Story):
    SIZE = 200 << 20  # a second of writing, against 100 ms of booting

    def large(self, wrapper=(), health=None, **service):
        """A daemon with one worker that holds SIZE bytes, and the folder where it dumps core."""
        with open("/proc/sys/kernel/core_pattern", encoding="ascii") as file:
            if not re.fullmatch(r"core(\.%p)?", file.read().strip()):
                self.skip("core_pattern puts cores elsewhere")
        cores = os.path.join(self.folder, "cores")
        os.mkdir(cores)
        unit = web(type="notify", working_directory=cores, limits={"core": "infinity"}, **service)
        unit = re.sub(r"exec_start = .*", 'exec_start = ["%s", "%s", "%d"]' % (PYTHON, LARGE, self.SIZE), unit)
        if health:
            unit += "[health]\n" + "\n".join("%s = %s" % (key, toml(value)) for key, value in health.items()) + "\n"
        return self.daemon({"web": unit}, wrapper=wrapper), cores

    def untold(self):
        """A wrapper of holdfastd in which it hears of no dump: the kernel tells of them in the first network namespace only."""
        options = "-n" if is_root() else "-Urn"
        if subprocess.run(["unshare", options, "ip", "link", "set", "lo", "up"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
            self.skip("no network namespace to be had")
        return ["unshare", options, "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"]

    def test_the_replacement_serves_before_the_core_is_written(self):
        self.needs_root("the process connector needs CAP_NET_ADMIN before Linux 6.6")
        if os.stat("/proc/self/ns/pid").st_ino != 0xeffffffc:
            self.skip("a pid namespace of its own: the process connector speaks of the first one")
        daemon, cores = self.large()
        first = daemon.pid_of("web")
        self.assertEqual(http_get(daemon.port("web"))[1], "%d\n" % first)
        os.kill(first, signal.SIGSEGV)
        ready = daemon.wait_event("worker-ready", where=lambda event: event["pid"] != first)
        written = daemon.wait_event("core-written")
        self.assertLess(ready["monotonic_usec"], written["monotonic_usec"])
        self.assertRegex(written["text"], r"to dump its core of \d{3} MiB")
        self.assertEqual(written["pid"], first)
        self.assertGreater(sum(os.stat(os.path.join(cores, name)).st_size for name in os.listdir(cores) if name != "first"), self.SIZE)
        self.assertEqual(http_get(daemon.port("web"))[1], "%d\n" % daemon.pid_of("web"))
        died = daemon.wait_event("worker-died")
        self.assertIn("its core is being written", died["text"])

    def test_a_death_of_holdfastd_while_a_core_is_written_forgets_neither(self):
        self.needs_root("the process connector needs CAP_NET_ADMIN before Linux 6.6")
        if os.stat("/proc/self/ns/pid").st_ino != 0xeffffffc:
            self.skip("a pid namespace of its own: the process connector speaks of the first one")
        daemon, _ = self.large((program("holdfast-keeper"), "--"))
        first = daemon.pid_of("web")
        os.kill(first, signal.SIGSEGV)
        daemon.wait_event("worker-died")
        os.kill(daemon.call("Version")["pid"], signal.SIGKILL)
        wait_for("the next", lambda: daemon.call("Version")["starts"] == 2)
        written = daemon.wait_event("core-written")
        self.assertRegex(written["text"], r"to dump its core of \d{3} MiB")
        self.assertEqual(written["pid"], first)
        daemon.wait_whole("web")
        self.assertEqual(http_get(daemon.port("web"))[1], "%d\n" % daemon.pid_of("web"))

    def test_where_nobody_tells_of_the_dump_its_cost_is_said(self):
        daemon, _ = self.large(self.untold())
        first = daemon.pid_of("web")
        began = time.monotonic()
        os.kill(first, signal.SIGSEGV)
        died = daemon.wait_event("worker-died")
        took = died["monotonic_usec"] / 1e6 - began
        said = re.search(r"SIGSEGV \(core dumped\); its place was empty for (\S+) while its core of (\d+) MiB was written", died["text"])
        self.assertTrue(said, died["text"])
        self.assertGreater(int(said[2]) << 20, self.SIZE)
        # From the birth of the file, which the file system knows to a few ms; making and killing it took no time.
        empty = float(said[1].removesuffix("ms")) / 1e3 if said[1].endswith("ms") else float(said[1].removesuffix("s"))
        self.assertLessEqual(empty, took + 0.05)
        self.assertGreater(empty, took / 2)
        daemon.wait_event("worker-ready", since=died["number"])

    def replaced_while_it_dumps(self, daemon):
        """By whatever made us look at it."""
        died = daemon.wait_event("worker-died")
        ready = daemon.wait_event("worker-ready", where=lambda event: event["pid"] != died["pid"])
        written = daemon.wait_event("core-written", where=lambda event: event["pid"] == died["pid"])
        self.assertLess(ready["monotonic_usec"], written["monotonic_usec"])
        return died

    def probed(self):
        """A daemon that nobody tells of dumps, whose probes fail of the worker whose pid is in the file self.ill."""
        self.ill = os.path.join(self.folder, "ill")
        probe = "test \"$HOLDFAST_PROBE_PID\" != \"$(cat %s 2>/dev/null)\"" % self.ill
        daemon, _ = self.large(self.untold(), health={"exec": ["/bin/sh", "-c", probe], "interval": "50ms", "timeout": "%ds" % (5 * FACTOR),
                                                      "failures": 1})
        return daemon

    def dump(self, pid):
        os.kill(pid, signal.SIGSEGV)
        with open(self.ill, "w", encoding="ascii") as file:
            file.write("%d" % pid)

    def test_a_failed_probe_finds_a_dump_that_nobody_told_of(self):
        daemon = self.probed()
        self.dump(daemon.pid_of("web"))
        self.assertIn("its core is being written", self.replaced_while_it_dumps(daemon)["text"])

    def test_one_that_dumps_core_for_its_watchdog_is_replaced_meanwhile(self):
        daemon, _ = self.large(self.untold(), watchdog="%dms" % (500 * FACTOR), restart="on-watchdog")
        self.assertIn("did not say WATCHDOG=1", self.replaced_while_it_dumps(daemon)["text"])

    def test_a_dump_does_not_outlive_the_supervisor(self):
        """It held the listeners, and nobody waited for it."""
        daemon = self.probed()
        first = daemon.pid_of("web")
        self.dump(first)
        daemon.wait_event("worker-died")
        self.assertEqual(daemon.end(), 0)
        wait_ended(first)

    def test_one_that_dumps_nothing_is_told_with_its_signal(self):
        daemon = self.daemon({"web": web(limits={"core": 0})})
        first = daemon.pid_of("web")
        os.kill(first, signal.SIGABRT)  # the sanitizers see to SIGSEGV themselves
        died = daemon.wait_event("worker-died")
        self.assertIn("SIGABRT", died["text"])
        wait_for("another worker", lambda: [w["state"] for w in daemon.workers("web") if w["pid"] != first] == ["ready"])


if __name__ == "__main__":
    main()
