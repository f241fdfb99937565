# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: a private holdfastd, load, results on disk, and how a ratio is judged."""
import argparse
import datetime
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Bench:
    """Options common to all benchmarks, a temporary folder, and the list of verdicts."""

    def __init__(self, name, description):
        self.name = name
        self.parser = argparse.ArgumentParser(prog=name, description=description)
        self.parser.add_argument("--bin", default=os.path.join(ROOT, "build/release/bin"), help="folder of the programs")
        self.parser.add_argument("--results", default=os.path.join(ROOT, "build/bench-results"), help="folder for JSON results")
        self.parser.add_argument("--check", action="store_true", help="exit 1 when over budget")
        self.folder = None
        self.over = []
        self.lost = False
        self.results = {"bench": name, "time": datetime.datetime.now().isoformat(timespec="seconds"),
                        "kernel": os.uname().release, "cpus": os.cpu_count(), "verdicts": []}

    def parse(self):
        self.options = self.parser.parse_args()
        self.options.bin = os.path.abspath(self.options.bin)  # it is written into units
        self.results["options"] = {k: v for k, v in vars(self.options).items() if k not in ("bin", "results")}
        self.folder = tempfile.mkdtemp(prefix="holdfast-bench.")
        return self.options

    def program(self, name):
        path = os.path.join(self.options.bin, name)
        if not os.access(path, os.X_OK):
            sys.exit("%s: %s is not built" % (self.name, path))
        return path

    def judge(self, what, value, budget, unit="", always=False):
        """Prints one line: what was measured, its budget, and whether it is within. `always`: over is a failure without --check too."""
        fits = value <= budget
        print("%-62s %9.3g%s  budget %g%s  %s" % (what, value, unit, budget, unit, "ok" if fits else "OVER"), flush=True)
        self.results["verdicts"].append({"what": what, "value": value, "budget": budget, "ok": fits})
        if not fits:
            self.over.append(what)
            self.lost = self.lost or always

    def finish(self):
        """Writes the results; the exit status."""
        os.makedirs(self.options.results, exist_ok=True)
        path = os.path.join(self.options.results, "%s-%s.json" % (self.name, datetime.datetime.now().strftime("%Y%m%d-%H%M%S")))
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self.results, file, indent=1)
        print("results in " + os.path.relpath(path))
        return 1 if self.lost or (self.over and self.options.check) else 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder, ignore_errors=True)


class Holdfastd:
    """A supervisor of our own on the units given as {name: text}; `wrapper`: the command that executes it."""

    def __init__(self, bench, units, wrapper=()):
        self.bench = bench
        self.folder = tempfile.mkdtemp(dir=bench.folder)
        self.units = os.path.join(self.folder, "units")
        self.runtime = os.path.join(self.folder, "run")
        os.mkdir(self.units)
        for name, text in units.items():
            with open(os.path.join(self.units, name + ".toml"), "w", encoding="utf-8") as file:
                file.write(text)
        self.log = open(os.path.join(self.folder, "log"), "w+", encoding="utf-8")
        notify_path = os.path.join(self.folder, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(notify_path)
            notify.settimeout(60)
            begin = time.monotonic()
            self.process = subprocess.Popen(
                [*wrapper, bench.program("holdfastd"), "--foreground", "--unit-dir", self.units, "--runtime-dir", self.runtime],
                stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, env={**os.environ, "NOTIFY_SOCKET": notify_path})
            try:
                while not notify.recv(4096).startswith(b"READY=1"):
                    pass
            except socket.timeout:
                self.__exit__()
                sys.exit("holdfastd did not become ready: " + self.read_log())
        self.ready_after = time.monotonic() - begin

    def read_log(self):
        self.log.flush()
        self.log.seek(0)
        return self.log.read()

    def command(self, *words, check=True):
        done = subprocess.run([self.bench.program("holdfast"), "--runtime-dir", self.runtime, *words],
                              capture_output=True, text=True, timeout=120)
        if check and done.returncode != 0:
            sys.exit("holdfast %s: exit status %d\n%s%s" % (" ".join(words), done.returncode, done.stdout, done.stderr))
        return done

    def json(self, *words):
        return json.loads(self.command("--json", *words).stdout)

    def wait_until_active(self, count, seconds=120):
        """Until `count` units have a worker that is ready."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            states = [unit["state"] for unit in self.json("list")["units"]]
            if states.count("active") >= count:
                return
            time.sleep(0.1)
        sys.exit("only %d of %d units became active" % (states.count("active"), count))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()


# An address block of this process's own in 127.0.0.0/8, so that two runs do not meet.
BLOCK = "127.%d" % (100 + os.getpid() % 150)


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def web_unit(bench, listen, *options, service="", name="http"):
    """The example web server as a unit."""
    command = ", ".join(json.dumps(word) for word in (bench.program("holdfast-webserver"), *options))
    return """
[[socket]]
name = "%s"
listen = "%s"
non_blocking = true
[service]
type = "notify"
exec_start = [%s]
%s
[rollout]
probation = "0s"
drain_timeout = "10s"
""" % (name, listen, command, service)


def load(bench, target, rate, seconds, *options):
    """Starts the load generator; result() of what this returns is its JSON."""
    process = subprocess.Popen([bench.program("holdfast-load"), "--target", target, "--rate", "%g" % rate, "--duration",
                                "%gs" % seconds, "--json", *options], stdout=subprocess.PIPE, text=True)
    process.result = lambda: json.loads(process.communicate()[0])
    return process


def ratio(rounds):
    """The median over rounds of ours / bare."""
    return statistics.median(ours / bare for ours, bare in zip(rounds["ours"], rounds["bare"]))
