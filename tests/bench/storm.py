# SPDX-License-Identifier: Apache-2.0
"""A restart every second under load. First the highest rate that runs clean without restarts; then, at that rate and taking turns:
holdfast without restarts, holdfast with one every second, and the same storm on start_server (libserver-starter-perl)."""
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

from common import Bench, Holdfastd, free_port, load, web_unit

P999_BUDGET = 1.5
SLOWEST_BUDGET = 1.0
GENERATOR_LAG = 2.0  # ms at p99.9
SUSTAINED = 20       # seconds that a rate must run clean before it is used
MODES = ("baseline", "holdfast", "start_server")


def add_options(parser):
    parser.add_argument("--seconds", type=float, default=60, help="length of each run (default 60)")
    parser.add_argument("--rounds", type=int, default=3, help="medians are taken over them (default 3)")
    parser.add_argument("--rate", type=float, help="requests per second (default: find the highest clean one)")
    parser.add_argument("--share", type=float, default=1.0, help="use this share of the rate that was found")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between two restarts")
    parser.add_argument("--keep-alive", action="store_true", help="re-use connections (default: one per request)")
    parser.add_argument("--unix", action="store_true", help="over a unix socket instead of TCP")
    parser.add_argument("--no-peer", action="store_true", help="leave start_server out")


class HoldfastServer:
    """The example server under holdfastd."""

    def __init__(self, bench):
        self.bench = bench
        path = os.path.join(bench.folder, "holdfast.sock")
        listen = "unix:" + path if bench.options.unix else "127.0.0.1:%d" % free_port()
        self.target = listen
        self.daemon = Holdfastd(bench, {"web": web_unit(bench, listen)})
        self.daemon.wait_until_active(1)

    def restart(self):
        """Returns when the old generation is gone."""
        self.daemon.command("restart", "web")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.daemon.__exit__()


class StartServer:
    """The same server under start_server. It has no --non-blocking of its own: its listeners block, and the servers change that."""

    def __init__(self, bench):
        path = os.path.join(bench.folder, "peer.sock")
        self.target = "unix:" + path if bench.options.unix else "127.0.0.1:%d" % free_port()
        where = "--path=" + path if bench.options.unix else "--port=" + self.target
        self.process = subprocess.Popen(
            ["start_server", where, "--backlog=4096", "--interval=1", "--signal-on-hup=TERM", "--signal-on-term=TERM", "--",
             bench.program("holdfast-webserver"), "--non-blocking"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while not self.is_up():
            if time.monotonic() > end:
                self.__exit__()
                sys.exit("start_server did not come up")
            time.sleep(0.05)

    def is_up(self):
        try:
            with socket.socket(socket.AF_UNIX if self.target.startswith("unix:") else socket.AF_INET) as sock:
                sock.settimeout(5)
                host, _, port = self.target.partition(":")
                sock.connect(port if host == "unix" else (host, int(port)))
                sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return bool(sock.recv(1))
        except OSError:
            return False

    def restart(self):
        self.process.send_signal(signal.SIGHUP)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)


def find_rate(bench, mode_options):
    """The highest rate at which holdfast without restarts fails nothing, p99 stays small, and the generator is on time: what short
    runs say, and then as much less as it takes to sustain it."""
    print("looking for the highest clean rate ...", flush=True)
    with HoldfastServer(bench) as server:
        process = load(bench, server.target, 1000, 3, "--find-rate", *mode_options)
        text = process.communicate()[0]
    if not text:
        sys.exit("no rate ran clean: the machine is too busy to measure anything, or say --rate")
    rate = json.loads(text)["rate"]
    while True:
        with HoldfastServer(bench) as server:
            result = load(bench, server.target, rate, SUSTAINED, *mode_options).result()
        lag = result["generator_lag_us"]["p99.9"] / 1e3
        print("  %7.0f/s for %d s: %d failed, generator %.1f ms behind at p99.9" % (rate, SUSTAINED, result["failed"], lag), flush=True)
        if result["failed"] == 0 and lag <= GENERATOR_LAG:
            return rate
        rate *= 0.9


def run(bench, mode, rate, mode_options):
    """One run; the generator's JSON with the number of restarts."""
    options = bench.options
    with (StartServer if mode == "start_server" else HoldfastServer)(bench) as server:
        process = load(bench, server.target, rate, options.seconds, "--answers", *mode_options)
        restarts = 0
        due = time.monotonic() + options.interval
        end = time.monotonic() + options.seconds - options.interval / 2
        while mode != "baseline" and due < end and process.poll() is None:
            time.sleep(max(0.0, due - time.monotonic()))
            server.restart()
            restarts += 1
            due = max(due + options.interval, time.monotonic())
        result = process.result()
    result["restarts"] = restarts
    result["servers"] = len(result.pop("answers"))
    return result


def print_run(mode, result):
    latency, lag = result["latency_us"], result["generator_lag_us"]
    print("%-13s %8d %9d %7d %6d %8.2f %8.2f %8.2f %8.2f   %8.2f %8.2f" %
          (mode, result["restarts"], result["sent"], result["failed"], result["keepalive_races"], latency["p50"] / 1e3,
           latency["p99"] / 1e3, latency["p99.9"] / 1e3, latency["max"] / 1e3, lag["p99.9"] / 1e3, lag["max"] / 1e3), flush=True)
    if result["failed"]:
        print("    first failure: %s; %s" % (result["first_failure"], {k: v for k, v in result["failures"].items() if v}))
    # Two restarts may fall together under start_server, never under holdfast: its command waits.
    if mode == "holdfast" and result["servers"] != result["restarts"] + 1:
        print("    but %d servers answered" % result["servers"])


def main():
    with Bench("storm", __doc__) as bench:
        add_options(bench.parser)
        options = bench.parse()
        modes = [m for m in MODES if m != "start_server" or not (options.no_peer or shutil.which("start_server") is None)]
        if len(modes) < len(MODES):
            print("without start_server" + ("" if options.no_peer else ": it is not installed"))
        mode_options = ["--keep-alive"] if options.keep_alive else []
        rate = options.rate or find_rate(bench, mode_options) * options.share
        bench.results["rate"] = rate
        print("%.0f requests/s, %s, %s; %g s a run, a restart every %g s; times in ms" %
              (rate, "keep-alive" if options.keep_alive else "a connection per request",
               "unix socket" if options.unix else "TCP", options.seconds, options.interval))
        print("%-13s %8s %9s %7s %6s %8s %8s %8s %8s   generator p99.9 / max behind" %
              ("", "restarts", "requests", "failed", "races", "p50", "p99", "p99.9", "slowest"))
        runs = bench.results["runs"] = {mode: [] for mode in modes}
        for _ in range(options.rounds):
            for mode in modes:
                runs[mode].append(run(bench, mode, rate, mode_options))
                print_run(mode, runs[mode][-1])
        judge(bench, runs)
        return bench.finish()


def judge(bench, runs):
    lag = max(one["generator_lag_us"]["p99.9"] for one in runs["baseline"]) / 1e3
    if lag > GENERATOR_LAG:
        print("the generator was up to %.1f ms late without any restart: the machine is too busy, the ratios below mean little" % lag)

    def ratios(other, key):
        return statistics.median(storm["latency_us"][key] / max(1, peer["latency_us"][key])
                                 for storm, peer in zip(runs["holdfast"], runs[other]))

    bench.judge("failed requests, all storms", sum(one["failed"] for one in runs["holdfast"]), 0, always=True)
    bench.judge("p99.9 in the storm / without restarts (median of rounds)", ratios("baseline", "p99.9"), P999_BUDGET)
    if "start_server" in runs:
        bench.judge("slowest request / start_server's (median of rounds)", ratios("start_server", "max"), SLOWEST_BUDGET)


if __name__ == "__main__":
    sys.exit(main())
