# SPDX-License-Identifier: Apache-2.0
"""A worker that holds 2 GB dumps core: how long is its place empty? Where the kernel tells holdfastd of the dump, where a failed probe
finds it, and where nobody does and the replacement waits for the disk."""
import os
import re
import shutil
import signal
import subprocess
import sys
import time

from common import ROOT, Bench, Holdfastd

WORKER = os.path.join(ROOT, "tests/system/large_worker.py")
PROBES = '[health]\nhttp = "/"\ninterval = "50ms"\ntimeout = "200ms"\nfailures = 1\n'


def untold():
    """The kernel tells of dumps in the first network namespace only."""
    return ["unshare", "-n" if os.geteuid() == 0 else "-Urn", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh"]


class Dump:
    """One worker under holdfastd, killed; all times in seconds."""

    def __init__(self, bench, wrapper=(), health=""):
        cores = os.path.join(bench.folder, "cores")
        os.mkdir(cores)
        unit = """
[[socket]]
name = "http"
listen = "unix:%s/web.sock"
non_blocking = true
[service]
type = "notify"
exec_start = ["%s", "-I", "-S", "%s", "%d"]
working_directory = "%s"
limits = { core = "infinity" }
timeout_start = "60s"
%s""" % (bench.folder, sys.executable, WORKER, bench.options.mebibytes << 20, cores, health)
        with Holdfastd(bench, {"large": unit}, wrapper) as daemon:
            self.daemon = daemon
            daemon.wait_until_active(1)
            pid = daemon.json("status", "large")["units"][0]["workers"][0]["pid"]
            began = time.monotonic()
            os.kill(pid, signal.SIGSEGV)
            ready = self.wait_event("worker-ready", lambda event: event["pid"] != pid)
            self.empty = ready["monotonic_usec"] / 1e6 - began
            while os.path.exists("/proc/%d" % pid) and daemon.process.poll() is None:
                time.sleep(0.01)
            self.took = time.monotonic() - began
            self.bytes = sum(os.stat(os.path.join(cores, name)).st_blocks * 512 for name in os.listdir(cores))
            self.told = self.wait_event("worker-died", lambda event: event["pid"] == pid)["text"]
        shutil.rmtree(cores)

    def wait_event(self, kind, where, seconds=120):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for event in self.daemon.json("events", "large")["events"]:
                if event["kind"] == kind and where(event):
                    return event
            time.sleep(0.02)
        sys.exit("no %s in %d s: %s" % (kind, seconds, self.daemon.read_log()))


def main():
    with Bench("core_dump", __doc__) as bench:
        bench.parser.add_argument("--mebibytes", type=int, default=2048, help="what the worker holds (default 2048)")
        bench.parse()
        with open("/proc/sys/kernel/core_pattern", encoding="ascii") as file:
            pattern = file.read().strip()
        if not re.fullmatch(r"core(\.%p)?", pattern):
            print("kernel.core_pattern is %s: this bench needs cores in the worker's folder (\"core\")" % pattern)
            return 0
        cases = [("the kernel tells of it", (), "")]
        if subprocess.run([*untold(), "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
            cases += [("a failed probe finds it", untold(), PROBES), ("nobody tells of it", untold(), "")]
        print("%-26s %10s %12s %14s" % ("", "core", "written in", "place empty"))
        for what, wrapper, health in cases:
            dump = Dump(bench, wrapper, health)
            print("%-26s %6d MiB %10.2f s %12.3f s\n    %s" % (what, dump.bytes >> 20, dump.took, dump.empty, dump.told), flush=True)
            bench.results[what] = {"bytes": dump.bytes, "written_s": dump.took, "empty_s": dump.empty, "told": dump.told}
            if what != "nobody tells of it":
                bench.judge("place empty / core written: " + what, dump.empty / dump.took, 0.999)
        return bench.finish()


if __name__ == "__main__":
    sys.exit(main())
