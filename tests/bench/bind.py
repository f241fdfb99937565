# SPDX-License-Identifier: Apache-2.0
"""Binding many listeners, by holdfast's socket library against a bare loop; and the start of a whole holdfastd with them."""
import json
import subprocess
import sys

from common import BLOCK, Bench, Holdfastd, ratio

BUDGET = 1.5


def unit_with(listeners):
    """One lazy unit (no worker runs) on that many addresses."""
    addresses = ", ".join('"%s.%d.%d:%d"' % (BLOCK, i // 25000, 1 + i // 100 % 250, 20000 + i % 100) for i in range(listeners))
    return '[[socket]]\nname = "many"\nlisten = [%s]\n[service]\nactivation = "lazy"\nexec_start = ["/bin/true"]\n' % addresses


def start_time(bench, units):
    with Holdfastd(bench, units) as daemon:
        return daemon.ready_after, len(daemon.json("sockets")["sockets"]) if units else 0


def main():
    with Bench("bind", __doc__) as bench:
        bench.parser.add_argument("--rounds", type=int, default=5)
        bench.parser.add_argument("--listeners", type=int, default=10000)
        options = bench.parse()
        rounds = json.loads(subprocess.run([bench.program("holdfast-bench-bind"), str(options.rounds), str(options.listeners)],
                                           stdout=subprocess.PIPE, check=True, text=True).stdout)
        bench.results["rounds"] = rounds
        for ours, bare in zip(rounds["ours"], rounds["bare"]):
            print("%d listeners: %.1f ms, bare loop %.1f ms: %.2f" % (options.listeners, ours / 1e3, bare / 1e3, ours / bare))
        bench.judge("bind %d listeners / bare loop (median of rounds)" % options.listeners, ratio(rounds), BUDGET)
        empty, _ = start_time(bench, {})
        full, held = start_time(bench, {"many": unit_with(options.listeners)})
        if held != options.listeners:
            sys.exit("holdfastd holds %d of %d listeners" % (held, options.listeners))
        bare = sorted(rounds["bare"])[len(rounds["bare"]) // 2] / 1e6
        print("a whole holdfastd, unit file included: ready %.1f ms later than without (%.1f ms), %.2f of the bare loop" %
              ((full - empty) * 1e3, empty * 1e3, (full - empty) / bare))
        bench.results["daemon"] = {"empty_s": empty, "full_s": full}
        return bench.finish()


if __name__ == "__main__":
    sys.exit(main())
