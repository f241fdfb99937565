# SPDX-License-Identifier: Apache-2.0
"""The program of a running service is replaced while its clients wait (pause, replace, resume), many times under load. Is anybody turned
away, and does anybody wait longer than the pause and the boot of the new workers?"""
import os
import shutil
import sys
import time

from common import Bench, Holdfastd, free_port, load, web_unit

BUDGET = 50.0  # ms more than the pause and the boot


def install(bench, path):
    """As a package does it: another file in its place."""
    shutil.copy(bench.program("holdfast-webserver"), path + ".new")
    os.rename(path + ".new", path)


def main():
    with Bench("pause", __doc__) as bench:
        bench.parser.add_argument("--rounds", type=int, default=20)
        bench.parser.add_argument("--rate", type=float, default=2000, help="requests per second (default 2000)")
        bench.parser.add_argument("--hold", type=float, default=0.2, help="seconds that it stays paused (default 0.2)")
        bench.parser.add_argument("--workers", type=int, default=2)
        bench.parser.add_argument("--shards", action="store_true", help="reuse_port = true: a listener for each slot")
        options = bench.parse()
        server = os.path.join(bench.folder, "server")
        install(bench, server)
        port = free_port()
        text = web_unit(bench, "127.0.0.1:%d" % port, service="workers = %d" % options.workers)
        text = text.replace(bench.program("holdfast-webserver"), server)
        if options.shards:
            text = text.replace("non_blocking = true", "non_blocking = true\nreuse_port = true")
        failed, rounds = 0, []
        with Holdfastd(bench, {"web": text}) as daemon:
            daemon.wait_until_active(1)
            seen = 0
            for _ in range(options.rounds):
                process = load(bench, "127.0.0.1:%d" % port, options.rate, options.hold + 1.0)
                time.sleep(0.3)
                daemon.command("pause", "web")
                install(bench, server)
                time.sleep(options.hold)
                daemon.command("resume", "web")
                result = process.result()
                at = {}
                for event in daemon.json("events", "web")["events"]:
                    if event["number"] > seen:
                        at[event["kind"]] = event["monotonic_usec"] / 1e3  # of workers the last one
                        seen = event["number"]
                failed += result["failed"]
                rounds.append({"pause": at["resumed"] - at["pausing"], "boot": at["worker-ready"] - at["resumed"],
                               "longest": result["latency_us"]["max"] / 1e3, "failed": result["failed"], "sent": result["sent"],
                               "generator_lag": result["generator_lag_us"]["max"] / 1e3})
                print("pause %6.1f ms  boot %5.1f ms  longest wait %6.1f ms  sent %5d  failed %d  generator max %.1f ms" % (
                    rounds[-1]["pause"], rounds[-1]["boot"], rounds[-1]["longest"], result["sent"], result["failed"],
                    rounds[-1]["generator_lag"]), flush=True)
        bench.results["rounds"] = rounds
        bench.judge("failed requests in %d pauses" % options.rounds, failed, 0, always=True)
        bench.judge("longest wait - pause - boot (the worst round)", max(r["longest"] - r["pause"] - r["boot"] for r in rounds), BUDGET, " ms")
        return bench.finish()


if __name__ == "__main__":
    sys.exit(main())
