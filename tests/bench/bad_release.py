# SPDX-License-Identifier: Apache-2.0
"""Bad releases under load, many times: one that crashes at boot, one that hangs, one that crashes two seconds after it was ready, one
that falls ill (500 on /healthz) two seconds after it was ready, and one that was never well. What do clients lose, and how long after
the fault does the old release have all traffic again? With --shards also at canary 5 %: what part of the connections reached the bad one?"""
import math
import os
import statistics
import subprocess
import sys
import time

from common import ROOT, Bench, Holdfastd, free_port, load, web_unit

sys.path.append(os.path.join(ROOT, "tests/system"))
from witness import Witness, last_of  # noqa: E402

WITHIN = 1000  # ms
SERVES = 2.0   # seconds that a bad release serves before its fault
CANARY, SLACK = 5, 2  # percent


def add_options(parser):
    parser.add_argument("--rounds", type=int, default=5, help="how often each (default 5)")
    parser.add_argument("--rate", type=float, default=2000, help="requests per second beside those of the witness (default 2000)")
    parser.add_argument("--serves", type=float, default=SERVES, help="seconds that a release serves before its fault (default 2)")
    parser.add_argument("--load-longer", type=float, default=4, help="seconds of load beyond that (default 4)")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--shards", action="store_true", help="reuse_port = true: a listener for each slot")


class Service:
    """The good release under holdfastd, probed."""

    def __init__(self, bench):
        self.bench, self.port = bench, free_port()
        self.daemon = Holdfastd(bench, {"web": self.unit("good")})
        self.daemon.wait_until_active(1)

    def unit(self, release, *options, service="", rollout=""):
        lines = "workers = %d\n%s" % (self.bench.options.workers, service)
        text = web_unit(self.bench, "127.0.0.1:%d" % self.port, "--release", release, *options, service=lines)
        if self.bench.options.shards:
            text = text.replace("non_blocking = true", "non_blocking = true\nreuse_port = true")
        text = "".join(line for line in text.splitlines(True) if not line.startswith("probation"))
        return text + rollout + 'probation = "60s"\n[health]\nhttp = "/healthz"\ninterval = "100ms"\nfailures = 1\n'

    def apply(self, text):
        with open(os.path.join(self.daemon.units, "web.toml"), "w", encoding="utf-8") as file:
            file.write(text)
        return subprocess.Popen([self.bench.program("holdfast"), "--runtime-dir", self.daemon.runtime, "apply"],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def last_event(self, kind, since):
        """Of that kind, of a generation that came after `since`."""
        found = [e for e in self.daemon.json("events", "web")["events"] if e["kind"] == kind and e["number"] > since]
        return found[-1] if found else None

    def number(self):
        events = self.daemon.json("events", "web")["events"]
        return events[-1]["number"] if events else 0

    def wait_event(self, kind, since, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if event := self.last_event(kind, since):
                return event
            time.sleep(0.02)
        sys.exit("no %s in %d s: %s" % (kind, seconds, self.daemon.read_log()))

    def wait_good(self, seconds=30):
        """Until only the good generation is left."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            unit = self.daemon.json("status", "web")["units"][0]
            if [w["state"] for w in unit["workers"]] == ["ready"] * self.bench.options.workers:
                return
            time.sleep(0.02)
        sys.exit("the bad one did not go: " + self.daemon.read_log())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.daemon.__exit__()


def crash_at_boot(service, _):
    return service.apply(service.unit("bad", "--crash-at-start")), None


def hang(service, _):
    return service.apply(service.unit("bad", "--never-ready", service='timeout_start = "2s"')), None


def crash_later(service, since):
    command = service.apply(service.unit("bad", "--crash-after", "%gs" % service.bench.options.serves))
    return command, service.wait_event("worker-died", since)["monotonic_usec"] / 1e6


def fall_ill(service, since, serves_from="took-over", rollout=""):
    ill = os.path.join(service.daemon.folder, "ill")
    if os.path.exists(ill):
        os.unlink(ill)
    command = service.apply(service.unit("bad", "--unhealthy-if", ill, rollout=rollout))
    service.wait_event(serves_from, since)
    time.sleep(service.bench.options.serves)
    fault = time.monotonic()
    with open(ill, "w", encoding="ascii"):
        pass
    return command, fault


def never_well(service, _):
    return service.apply(service.unit("bad", "--unhealthy")), None


def fall_ill_as_a_canary(service, since):
    return fall_ill(service, since, "canary-step", 'strategy = "canary"\nsteps = [%d]\nhold = "60s"\n' % CANARY)


# What it does, and what is in its report.
CASES = {"crashes at boot": (crash_at_boot, "exit code 1"), "hangs": (hang, "was not ready within 2s"),
         "crashes when it serves": (crash_later, "exit code 70"), "answers 500 when it serves": (fall_ill, "answered 500"),
         "answers 500 from the start": (never_well, "answered 500")}
ON_SHARDS = {"answers 500 as a canary": (fall_ill_as_a_canary, "answered 500")}


def cases_of(options):
    return {**CASES, **(ON_SHARDS if options.shards else {})}


def reached(service, seen, since, fault):
    """Of the requests from the first step of the canary to its fault: how many it answered, and how many there were."""
    step = service.last_event("canary-step", since)
    if step is None:
        return 0, 0
    window = [one for one in seen if step["monotonic_usec"] / 1e6 <= one.sent < fault]
    return len([one for one in window if one.release == "bad"]), len(window)


def run(service, case):
    """One bad release: the load's result, ms until the old one had all traffic again, what the bad one answered, wrong outcomes, and
    how much reached a canary."""
    bad, words = cases_of(service.bench.options)[case]
    options = service.bench.options
    since = service.number()
    witness = Witness(service.port, interval=0.001)
    process = load(service.bench, "127.0.0.1:%d" % service.port, options.rate, options.serves + options.load_longer, "--answers")
    command, fault = bad(service, since)
    said = command.communicate(timeout=60)[0]
    report = service.daemon.json("report", "web")["report"]
    service.wait_good()
    result = process.result()
    seen = witness.finish()
    result["failed"] += len([one for one in seen if one.failure])
    last = last_of(seen, "bad")
    back = None if fault is None else max(0, last - fault) * 1e3 if last else 0.0
    answered = sum(count for body, count in result["answers"].items() if "release=bad" in body)
    answered += len([one for one in seen if one.release == "bad"])
    wrong = [what for what, is_so in (("exit status %s" % command.returncode, command.returncode != 1),
                                      ("the command does not say why: " + said, words not in said),
                                      ("verdict " + report["verdict"], report["verdict"] != "failed"),
                                      ("the report does not say why: %s" % report["reason"], words not in (report["reason"] or ""))) if is_so]
    return result, back, answered, wrong, reached(service, seen, since, fault)


def main():
    with Bench("bad_release", __doc__) as bench:
        add_options(bench.parser)
        options = bench.parse()
        print("%d workers, %s, %.0f + 1000 requests/s, each case %d times" %
              (options.workers, "shards" if options.shards else "one listener", options.rate, options.rounds))
        print("%-28s %9s %7s %12s %14s %12s" % ("a release that", "requests", "failed", "by the bad", "back, median", "back, worst"))
        bench.results["cases"] = {}
        for case in cases_of(options):
            with Service(bench) as service:
                rounds = [run(service, case) for _ in range(options.rounds)]
            sent = sum(result["sent"] for result, *_ in rounds)
            failed = sum(result["failed"] for result, *_ in rounds)
            backs = [back for _, back, *_ in rounds if back is not None]
            answered = sum(answered for _, _, answered, *_ in rounds)
            wrong = [what for *_, found, _ in rounds for what in found]
            print("%-28s %9d %7d %12d %14s %12s" %
                  (case, sent, failed, answered, "%.1f ms" % statistics.median(backs) if backs else "", "%.1f ms" % max(backs) if backs else ""),
                  flush=True)
            for result, *_ in rounds:
                if result["failed"]:
                    print("    %s" % {k: v for k, v in result["failures"].items() if v})
            bench.results["cases"][case] = {"sent": sent, "failed": failed, "answered_by_bad": answered, "back_ms": backs, "wrong": wrong}
            for what in wrong:
                print("    " + what)
            judge(bench, case, failed, backs, answered, wrong)
            judge_share(bench, case, [part for *_, part in rounds])
        return bench.finish()


def judge(bench, case, failed, backs, answered, wrong):
    bench.judge("wrong exit status, verdict or reason: " + case, len(wrong), 0, always=True)
    if case == "crashes when it serves":  # each crash costs what those workers held
        bench.judge("failed requests: " + case, failed, 32 * bench.options.workers * bench.options.rounds, always=True)
    else:
        bench.judge("failed requests: " + case, failed, 0, always=True)
    if backs:
        bench.judge("all traffic is the old one's again after, worst: " + case, max(backs), WITHIN, " ms", always=True)
    elif bench.options.shards:  # where all accept from one listener, who does is not ours to say
        bench.judge("requests that the bad one answered: " + case, answered, 0, always=True)


def judge_share(bench, case, parts):
    """A canary gets its share and no more. So few requests as a short run makes may miss that by chance: five standard deviations."""
    if case not in ON_SHARDS:
        return
    count, total = (sum(column) for column in zip(*parts))
    bench.judge("windows without a request: " + case, len([1 for _, of in parts if not of]), 0, always=True)
    percent = 100 * count / max(1, total)
    print("    %.2f %% of %d connections reached it while it had %d %%" % (percent, total, CANARY))
    bench.results["cases"][case]["percent"] = percent
    slack = max(SLACK, 5 * math.sqrt(CANARY * (100 - CANARY) / max(1, total)))
    bench.judge("percent of the connections that reached it: " + case, percent, CANARY + slack, " %", always=True)


if __name__ == "__main__":
    sys.exit(main())
