# SPDX-License-Identifier: Apache-2.0
"""Worker start, from the order to the execve, against a bare fork + execve of the same program; taking turns in one process."""
import json
import os
import statistics
import subprocess
import sys
import tempfile

from common import Bench, ratio

BUDGET = 1.3


def main():
    with Bench("spawn", __doc__) as bench:
        bench.parser.add_argument("--rounds", type=int, default=7)
        bench.parser.add_argument("--starts", type=int, default=300)
        bench.parser.add_argument("--cgroup", help="a folder of cgroup version 2 to make one in: each worker is started in one of its own, too")
        options = bench.parse()
        command = [bench.program("holdfast-bench-spawn"), str(options.rounds), str(options.starts)]
        if options.cgroup:
            command.append(tempfile.mkdtemp(prefix="holdfast-bench.", dir=options.cgroup))
        rounds = json.loads(subprocess.run(command,
                                           stdout=subprocess.PIPE, check=True, text=True).stdout)
        bench.results["rounds"] = rounds
        for ours, bare in zip(rounds["ours"], rounds["bare"]):
            print("median of %d starts: %.0f us, bare fork + exec %.0f us: %.2f" % (options.starts, ours, bare, ours / bare))
        if options.cgroup:
            os.rmdir(command[-1])
            print("in a cgroup made for it: %.2f times as long; its removal takes %.0f us"
                  % (ratio({"ours": rounds["inside"], "bare": rounds["ours"]}), statistics.median(rounds["ends"])))
        else:
            bench.judge("worker start / bare fork + exec (median of rounds)", ratio(rounds), BUDGET)
        return bench.finish()


if __name__ == "__main__":
    sys.exit(main())
