# SPDX-License-Identifier: Apache-2.0
"""[steering]: what one stopped worker of four costs its clients with least_loaded, and beside it with hash; and how exactly a canary gets
its part of 100,000 connections, with hash and with random."""
import os
import re
import signal
import statistics
import sys
import time

from common import Bench, Holdfastd, free_port, load, web_unit

STOPPED = 5.0   # seconds
BACK_IN = 0.2   # from then on all is to be as before
LONGER = 1.5    # p99, times as before: a machine of two processors has that much noise
POINTS = 0.5    # of a canary's part


def unit(bench, port, mode, rollout="", count=4):
    return web_unit(bench, "127.0.0.1:%d" % port, "--release", "{generation}", service="workers = %d" % count).replace(
        "non_blocking = true", "non_blocking = true\nreuse_port = true").replace(
        'probation = "0s"', 'probation = "0s"\n' + rollout) + '[steering]\nmode = "%s"\n' % mode


def workers(daemon):
    return {w["slot"]: w["pid"] for w in daemon.json("status", "web")["units"][0]["workers"] if w["state"] == "ready"}


def wait_for_workers(daemon, count=4):
    end = time.monotonic() + 30
    while len(workers(daemon)) < count:
        if time.monotonic() > end:
            sys.exit("the %d workers did not become ready" % count)
        time.sleep(0.05)


def one_fewer(bench, mode, rate):
    """Latencies in ms of as many workers as are left when one is stopped: nothing can be better than that then."""
    port = free_port()
    with Holdfastd(bench, {"web": unit(bench, port, mode, count=3)}) as daemon:
        wait_for_workers(daemon, 3)
        return side_by_side(bench, "127.0.0.1:%d" % port, rate)


def side_by_side(bench, target, rate):
    """Of one of two loads, as while a worker is stopped: there are two of them then."""
    load(bench, target, rate, 1).result()  # warm
    beside = load(bench, target, rate / 2, STOPPED - BACK_IN)
    one = load(bench, target, rate / 2, STOPPED - BACK_IN).result()
    beside.result()
    return one["latency_us"]


def stop_one(bench, mode, rate):
    """Latencies in ms without, and from BACK_IN after one of four workers was stopped."""
    port = free_port()
    with Holdfastd(bench, {"web": unit(bench, port, mode)}) as daemon:
        wait_for_workers(daemon)
        target = "127.0.0.1:%d" % port
        before = side_by_side(bench, target, rate)
        around = load(bench, target, rate / 2, STOPPED + 2, "--timeout", "20s")
        time.sleep(0.5)
        victim = workers(daemon)[2]
        os.kill(victim, signal.SIGSTOP)
        try:
            stopped = time.monotonic()
            time.sleep(BACK_IN)
            after = load(bench, target, rate / 2, STOPPED - BACK_IN - 0.3, "--timeout", "20s")
            time.sleep(max(0.0, STOPPED - (time.monotonic() - stopped)))
        finally:
            os.kill(victim, signal.SIGCONT)
        after, around = after.result(), around.result()
    failed = after["failed"] + around["failed"]
    return {"before": before, "after": after["latency_us"], "all": around["latency_us"], "failed": failed}


def canary_part(bench, mode, percent, connections, rate):
    """The part of the canary, in percent."""
    port = free_port()
    rollout = 'strategy = "canary"\nsteps = [%d]\nhold = "300s"' % percent
    with Holdfastd(bench, {"web": unit(bench, port, mode, rollout)}) as daemon:
        wait_for_workers(daemon)
        daemon.command("restart", "--no-wait", "web")
        end = time.monotonic() + 30
        while len({s["bank"] for s in daemon.json("sockets", "web")["sockets"] if s["weight"]}) < 2:
            if time.monotonic() > end:
                sys.exit("the canary did not come up")
            time.sleep(0.05)
        result = load(bench, "127.0.0.1:%d" % port, rate, connections / rate, "--answers").result()
        daemon.command("rollout", "undo", "web", check=False)
    counts = {"1": 0, "2": 0}
    for body, count in result["answers"].items():
        counts[re.search(r"release=(\w+)", body)[1]] += count
    print("canary of %d %% by %s: %d of %d connections" % (percent, mode, counts["2"], sum(counts.values())))
    return 100 * counts["2"] / sum(counts.values()), result["failed"]


def main():
    with Bench("steering", __doc__) as bench:
        bench.parser.add_argument("--rate", type=float, default=1000, help="requests per second, each on its own connection")
        bench.parser.add_argument("--connections", type=int, default=100000, help="for each canary; 0: none")
        bench.parser.add_argument("--rounds", type=int, default=3, help="of each mode with a stopped worker")
        bench.parser.add_argument("--canary-rate", type=float, default=4000)
        options = bench.parse()
        for mode in ("least_loaded", "hash"):
            rounds = bench.results[mode] = []
            for _ in range(options.rounds):
                seen = stop_one(bench, mode, options.rate)
                seen["three"] = one_fewer(bench, mode, options.rate)
                rounds.append(seen)
                print("%-12s p99 before %.2f ms, from 200 ms after the stop %.2f ms (slowest %.0f ms), of all that came %.0f ms; of three workers %.2f ms" % (
                    mode, *(seen[when]["p99"] / 1e3 for when in ("before", "after")), seen["after"]["max"] / 1e3, seen["all"]["max"] / 1e3,
                    seen["three"]["p99"] / 1e3))
            bench.judge("%s: requests that failed" % mode, sum(seen["failed"] for seen in rounds), 0, always=True)
            if mode == "least_loaded":
                before, after, three = (statistics.median(seen[when]["p99"] for seen in rounds) for when in ("before", "after", "three"))
                bench.judge("%s: p99 after / before (medians)" % mode, after / before, LONGER)
                print("%-62s %9.3g" % ("%s: p99 of three workers, none stopped / before (medians)" % mode, three / before))
        for mode in ("hash", "random") if options.connections else ():
            for percent in (5, 25):
                part, failed = canary_part(bench, mode, percent, options.connections, options.canary_rate)
                bench.judge("%s: canary of %d %%, off by" % (mode, percent), abs(part - percent), POINTS, " points")
                bench.judge("%s: requests that failed" % mode, failed, 0, always=True)
        return bench.finish()


if __name__ == "__main__":
    sys.exit(main())
