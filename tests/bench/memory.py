# SPDX-License-Identifier: Apache-2.0
"""Private memory of holdfastd: idle, and what each unit with one socket and one worker adds."""
import sys
import time

from common import BLOCK, Bench, Holdfastd

IDLE_BUDGET = 4096  # KiB
UNIT_BUDGET = 3     # KiB

UNIT = '[[socket]]\nname = "http"\nlisten = "%s.%d.%d:20000"\n[service]\nexec_start = ["/bin/sleep", "infinity"]\n'


def private_memory(pid):
    """KiB that are nobody else's (/proc/PID/smaps_rollup)."""
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith(("Private_Clean:", "Private_Dirty:")))


def settled_memory(pid):
    """The same, once it has not changed for a second."""
    value, since = private_memory(pid), time.monotonic()
    while time.monotonic() - since < 1:
        time.sleep(0.1)
        now = private_memory(pid)
        if now != value:
            value, since = now, time.monotonic()
    return value


def workers(pid):
    """How many children have been executed. Asked of /proc: a `holdfast list` would make the daemon use memory for its answer."""
    with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as file:
        children = file.read().split()
    count = 0
    for child in children:
        with open("/proc/%s/comm" % child, encoding="ascii") as file:
            count += file.read() == "sleep\n"
    return count


def measure(bench, units):
    """KiB when all workers run, and again after one `holdfast list`."""
    with Holdfastd(bench, {"unit%d" % i: UNIT % (BLOCK, i // 250, 1 + i % 250) for i in range(units)}) as daemon:
        pid = daemon.process.pid
        end = time.monotonic() + 120
        while workers(pid) < units:
            if time.monotonic() > end:
                sys.exit("only %d of %d workers run" % (workers(pid), units))
            time.sleep(0.05)
        quiet = settled_memory(pid)
        daemon.command("list")
        return quiet, settled_memory(pid)


def main():
    with Bench("memory", __doc__) as bench:
        bench.parser.add_argument("--units", type=int, default=1000)
        options = bench.parse()
        idle, idle_asked = measure(bench, 0)
        one, _ = measure(bench, 1)  # the first unit touches code and tables that all others share
        full, full_asked = measure(bench, options.units)
        bench.results["private_kib"] = {"idle": idle, "idle_asked": idle_asked, "one": one, "full": full, "full_asked": full_asked}
        print("holdfastd: %d KiB without units, %d KiB with one, %d KiB with %d; after one `holdfast list` %d and %d KiB" %
              (idle, one, full, options.units, idle_asked, full_asked))
        bench.judge("private memory of an idle holdfastd", idle, IDLE_BUDGET, " KiB")
        bench.judge("private memory per unit with a socket and a worker", (full - one) / max(1, options.units - 1), UNIT_BUDGET, " KiB")
        return bench.finish()


if __name__ == "__main__":
    sys.exit(main())
