# SPDX-License-Identifier: Apache-2.0
"""A pool of workers under load: resized 8 to 2 to 8, replaced slot by slot every two seconds, and with a worker killed every second.
Beside it, at the same rate and taking turns, the same pool left alone."""
import os
import re
import signal
import statistics
import subprocess
import sys
import time

from common import Bench, Holdfastd, free_port, load, web_unit

P999_BUDGET = 1.5
SUSTAINED = 10  # seconds that a rate must run clean before it is used


def add_options(parser):
    parser.add_argument("--seconds", type=float, default=60, help="length of each run with rolling restarts (default 60)")
    parser.add_argument("--kill-seconds", type=float, default=30, help="length of the run in which workers are killed (default 30)")
    parser.add_argument("--resizes", type=int, default=5, help="how often 8 -> 2 -> 8 (default 5)")
    parser.add_argument("--resize-seconds", type=float, default=30, help="length of the run in which it is resized (default 30)")
    parser.add_argument("--rounds", type=int, default=3, help="of rolling restarts; medians are taken over them (default 3)")
    parser.add_argument("--rate", type=float, help="requests per second (default: what the pool left alone sustains, 12000 at most)")
    parser.add_argument("--keep-alive", action="store_true", help="re-use connections (default: one per request)")
    parser.add_argument("--unix", action="store_true", help="over a unix socket instead of TCP")
    parser.add_argument("--shards", action="store_true", help="reuse_port = true: a listener for each slot")


class Pool:
    """`count` workers of the example server under holdfastd; no start limit, since workers are killed on purpose."""

    def __init__(self, bench, count):
        path = os.path.join(bench.folder, "pool.sock")
        self.port = 0 if bench.options.unix else free_port()
        self.target = "unix:" + path if bench.options.unix else "127.0.0.1:%d" % self.port
        unit = web_unit(bench, self.target, service="workers = %d\nstart_limit_burst = 0\nrestart_delay = \"10ms\"" % count)
        unit += 'strategy = "rolling"\n'
        if bench.options.shards:
            unit = unit.replace("non_blocking = true", "non_blocking = true\nreuse_port = true")
        self.daemon = Holdfastd(bench, {"web": unit})
        self.count = count
        self.wait_until_whole()

    def pids(self):
        workers = self.daemon.json("status", "web")["units"][0]["workers"]
        return [worker["pid"] for worker in workers if worker["state"] == "ready"]

    def wait_until_whole(self, seconds=30):
        end = time.monotonic() + seconds
        while len(self.pids()) != self.count:
            if time.monotonic() > end:
                sys.exit("the pool did not become whole: " + self.daemon.read_log())
            time.sleep(0.02)

    def kill(self, pid):
        """SIGKILL; how many connections it held in that moment. It is stopped for the counting, so that none comes or goes."""
        os.kill(pid, signal.SIGSTOP)
        held = set()
        for name in os.listdir("/proc/%d/fd" % pid):
            try:
                where = os.readlink("/proc/%d/fd/%s" % (pid, name))
            except OSError:
                continue
            if where.startswith("socket:["):
                held.add(where[8:-1])
        held &= open_connections(self.port)
        os.kill(pid, signal.SIGKILL)
        return len(held)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.daemon.__exit__()


def open_connections(port):
    """The inodes of accepted connections: to this TCP port, or any connected unix socket."""
    if port == 0:
        with open("/proc/net/unix", encoding="ascii", errors="replace") as file:
            return {row.split()[6] for row in file.readlines()[1:] if row.split()[5] == "03"}
    # /proc/net/tcp has all that are in TIME-WAIT too, and reading it takes seconds, for which the worker would be stopped.
    rows = subprocess.run(["ss", "-Htne", "state", "established", "state", "close-wait", "( sport = :%d )" % port],
                          stdout=subprocess.PIPE, text=True, check=True).stdout
    return set(re.findall(r"\bino:(\d+)", rows))


def find_rate(bench, count, mode):
    """What the pool left alone sustains."""
    rate = 12000.0
    while True:
        with Pool(bench, count) as pool:
            result = load(bench, pool.target, rate, SUSTAINED, *mode).result()
        lag = result["generator_lag_us"]["p99.9"] / 1e3
        print("  %7.0f/s for %d s: %d failed, generator %.1f ms behind at p99.9" % (rate, SUSTAINED, result["failed"], lag), flush=True)
        if result["failed"] == 0 and lag <= 2.0:
            return rate
        rate *= 0.8
        if rate < 100:
            sys.exit("no rate runs clean: the machine is too busy to measure anything")


def print_run(what, did, result):
    latency = result["latency_us"]
    print("%-22s %8s %9d %7d %8.2f %8.2f %8.2f" % (what, did, result["sent"], result["failed"], latency["p50"] / 1e3,
                                                    latency["p99.9"] / 1e3, latency["max"] / 1e3), flush=True)
    if result["failed"]:
        print("    first failure: %s; %s" % (result["first_failure"], {k: v for k, v in result["failures"].items() if v}))


def resize(bench, rate, mode):
    with Pool(bench, 8) as pool:
        pause = bench.options.resize_seconds / (2 * bench.options.resizes + 1)
        process = load(bench, pool.target, rate, bench.options.resize_seconds, *mode)
        due = time.monotonic() + pause
        for count in (2, 8) * bench.options.resizes:
            time.sleep(max(0.0, due - time.monotonic()))
            pool.daemon.command("scale", "web", str(count))
            due += pause
        if process.poll() is not None:
            sys.exit("the resizes took longer than the load lasted: use more --resize-seconds")
        result = process.result()
    print_run("8 -> 2 -> 8", "%d x" % bench.options.resizes, result)
    return result


def roll(bench, rate, mode, restarts):
    with Pool(bench, 8) as pool:
        process = load(bench, pool.target, rate, bench.options.seconds, *mode)
        count = 0
        due = time.monotonic() + 2
        end = time.monotonic() + bench.options.seconds - 1
        while restarts and due < end and process.poll() is None:
            time.sleep(max(0.0, due - time.monotonic()))
            pool.daemon.command("restart", "web")
            count += 1
            due = max(due + 2, time.monotonic())
        result = process.result()
    print_run("rolling restarts" if restarts else "left alone", str(count), result)
    return result


def start_beside(bench, rate, mode):
    """The pool left alone, and beside it what a rolling restart cannot do without: 8 processes of the same program, started and ended one by
    one, every two seconds, by nobody in particular. What the clients notice of that is the machine's, not the supervisor's."""
    with Pool(bench, 8) as pool:
        process = load(bench, pool.target, rate, bench.options.seconds, *mode)
        due = time.monotonic() + 2
        end = time.monotonic() + bench.options.seconds - 1
        count = 0
        while due < end and process.poll() is None:
            time.sleep(max(0.0, due - time.monotonic()))
            for _ in range(pool.count):
                with subprocess.Popen([bench.program("holdfast-webserver"), "--port", "0"], stdout=subprocess.PIPE) as other:
                    other.stdout.readline()  # it listens
                    other.terminate()
                count += 1
            due = max(due + 2, time.monotonic())
        result = process.result()
    print_run("processes beside", str(count), result)
    return result


def kill_workers(bench, rate, mode):
    """The generator's result, and how many requests at most the killed ones held."""
    with Pool(bench, 4) as pool:
        process = load(bench, pool.target, rate, bench.options.kill_seconds, *mode)
        held = kills = 0
        due = time.monotonic() + 1
        end = time.monotonic() + bench.options.kill_seconds - 1
        while due < end and process.poll() is None:
            time.sleep(max(0.0, due - time.monotonic()))
            held += pool.kill(pool.pids()[kills % 4])
            kills += 1
            pool.wait_until_whole()
            due = max(due + 1, time.monotonic())
        result = process.result()
    print_run("a worker of 4 killed", str(kills), result)
    return result, held


def main():
    with Bench("pool", __doc__) as bench:
        add_options(bench.parser)
        options = bench.parse()
        mode = ["--keep-alive"] if options.keep_alive else []
        rate = bench.results["rate"] = options.rate or find_rate(bench, 8, mode)
        print("%.0f requests/s, %s, %s, %s; times in ms" %
              (rate, "keep-alive" if options.keep_alive else "a connection per request",
               "unix socket" if options.unix else "TCP", "shards" if options.shards else "one listener"))
        print("%-22s %8s %9s %7s %8s %8s %8s" % ("", "did", "requests", "failed", "p50", "p99.9", "slowest"))
        resized = resize(bench, rate, mode)
        rounds = [(roll(bench, rate, mode, False), roll(bench, rate, mode, True), start_beside(bench, rate, mode))
                  for _ in range(options.rounds)]
        killed, held = kill_workers(bench, rate, mode)
        bench.results["runs"] = {"resized": resized, "rolled": rounds, "killed": killed, "held_by_killed": held}
        bench.judge("failed requests, pool resized", resized["failed"], 0, always=True)
        bench.judge("failed requests, rolling restarts", sum(storm["failed"] for _, storm, _ in rounds), 0, always=True)

        def ratio(of, to):
            return statistics.median(one[of]["latency_us"]["p99.9"] / max(1, one[to]["latency_us"]["p99.9"]) for one in rounds)

        bench.judge("p99.9 with rolling restarts / left alone (median of rounds)", ratio(1, 0), P999_BUDGET)
        print("%-62s %9.3g" % ("p99.9 with the same processes started beside / left alone", ratio(2, 0)))
        bench.judge("failed requests, workers killed, beside what they held", killed["failed"], held, always=True)
        return bench.finish()


if __name__ == "__main__":
    sys.exit(main())
