# SPDX-License-Identifier: Apache-2.0
"""One process per connection: connections a second, and many alive at once, against tcpserver, xinetd, openbsd-inetd and (on a unix socket)
s6-ipcserver, taking turns; and a flood of connections on a limited unit: what it costs other units, and when the unit is back."""
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from common import Bench, Holdfastd, free_port, load, web_unit

ANSWER = ["/bin/echo", "hi"]
STAY = ["/bin/sh", "-c", "echo hi; read line"]
MOST = 3000  # connections that each server may have at once


def accept_unit(command, listen, trigger_limit_burst=0, **service):
    service = {"exec_start": command, "accept": True, "handoff": ["inetd"], "max_connections": MOST, **service}
    return "[[socket]]\nlisten = %s\nbacklog = 4096\ntrigger_limit_burst = %d\n[service]\n%s" % (
        json.dumps(listen), trigger_limit_burst, "".join("%s = %s\n" % (key, json.dumps(value)) for key, value in service.items()))


class Peer:
    """A server of somebody else, on a port or a unix path of its own."""

    def __init__(self, bench, name, command):
        self.folder = tempfile.mkdtemp(dir=bench.folder)
        self.name = name
        self.target = os.path.join(self.folder, "sock") if name == "s6-ipcserver" else str(free_port())
        self.errors = open(os.path.join(self.folder, "log"), "w+", encoding="utf-8")
        self.peers = bench.options.peers
        self.process = subprocess.Popen(getattr(self, name.replace("-", "_"))(command), stdin=subprocess.DEVNULL, stdout=self.errors,
                                        stderr=self.errors, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        wait_until_there(self.target, self)

    def tcpserver(self, command):
        return ["tcpserver", "-HRl0", "-b", "4096", "-c", str(MOST), "127.0.0.1", self.target, *command]

    def s6_ipcserver(self, command):
        return ["s6-ipcserver", "-c", str(MOST), "-C", str(MOST), "-b", "4096", self.target, *command]

    def xinetd(self, command):
        conf = self.write("""service bench
{{
 type = UNLISTED
 socket_type = stream
 protocol = tcp
 wait = no
 user = root
 port = {port}
 bind = 127.0.0.1
 server = {program}
 server_args = {arguments}
 instances = UNLIMITED
 per_source = UNLIMITED
 cps = 1000000 1
}}
""".format(port=self.target, program=command[0], arguments=" ".join(command[1:])))
        return [*self.unpacked("xinetd"), "-dontfork", "-f", conf, "-pidfile", os.path.join(self.folder, "pid")]

    def openbsd_inetd(self, command):
        conf = self.write("127.0.0.1:%s stream tcp nowait root %s %s\n"
                          % (self.target, command[0], " ".join([os.path.basename(command[0]), *command[1:]])))
        return [*self.unpacked("inetd"), "-i", "-q", "4096", "-R", "0", conf]

    def unpacked(self, name):
        """With its libraries, and without a variable that its children would have, too."""
        found = {os.path.join(folder, file) for folder, _, files in os.walk(self.peers) for file in files}
        libraries = {os.path.dirname(path) for path in found if ".so." in path}
        program = [path for path in found if path.endswith("/usr/sbin/" + name)]
        if not program:
            sys.exit("%s is not in %s: accept.sh unpacks it" % (name, self.peers))
        loader = [path for path in ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1") if os.path.exists(path)]
        return [loader[0], "--library-path", ":".join(sorted(libraries)), program[0]]

    def write(self, text):
        path = os.path.join(self.folder, "conf")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.errors.close()


def connect(target):
    sock = socket.socket(socket.AF_UNIX if "/" in target else socket.AF_INET)
    sock.settimeout(10)
    try:
        sock.connect(target if "/" in target else ("127.0.0.1", int(target)))
    except OSError:
        sock.close()
        raise
    return sock


def wait_until_there(target, peer):
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            with connect(target) as sock:
                if sock.recv(1):
                    return
        except OSError:
            time.sleep(0.02)
    peer.errors.seek(0)
    sys.exit("%s does not answer: %s" % (peer.name, peer.errors.read()))


class Ours:
    """The same of holdfast; `keeper`: with one, so that instances outlive holdfastd."""

    def __init__(self, bench, command, is_unix=False, keeper=True):
        self.target = tempfile.mktemp(dir=bench.folder) if is_unix else str(free_port())
        listen = "unix:" + self.target if is_unix else "127.0.0.1:" + self.target
        self.daemon = Holdfastd(bench, {"bench": accept_unit(command, listen)}, (bench.program("holdfast-keeper"), "--") if keeper else ())

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.daemon.__exit__(*what)


def server(bench, name, command):
    if name.startswith("holdfast"):
        return Ours(bench, command, "unix" in name, "alone" not in name)
    return Peer(bench, name, command)


def client(bench, *words):
    return json.loads(subprocess.run([bench.program("holdfast-bench-connect"), *map(str, words)], stdout=subprocess.PIPE, check=True).stdout)


def measure_rate(bench, options, names):
    rates = {name: [] for name in names}
    for _ in range(options.rounds):
        for name in names:
            with server(bench, name, ANSWER) as one:
                got = client(bench, "rate", one.target, options.seconds, options.parallel)
            rates[name].append(got["done"] / got["seconds"])
            if got["failed"]:
                print("%s: %d of %d failed" % (name, got["failed"], got["failed"] + got["done"]))
                if name.startswith("holdfast"):
                    bench.lost = True
    bench.results["rates"] = rates
    for name in names:
        print("%-18s %6.0f connections/s (median of %s)" % (name, statistics.median(rates[name]), ", ".join("%.0f" % r for r in rates[name])))
    for ours in ("holdfast", "holdfast-unix"):
        peers = [n for n in names if not n.startswith("holdfast") and (n == "s6-ipcserver") == ("unix" in ours)]
        if ours in names and peers:
            best = [max(rates[p][i] for p in peers) for i in range(options.rounds)]
            bench.judge("%s on the best peer of each round (median)" % ours,
                        statistics.median(theirs / mine for theirs, mine in zip(best, rates[ours])), 1.0)


def measure_alive(bench, options, names):
    spent = {}
    for name in names:
        with server(bench, name, STAY) as one:
            process = subprocess.Popen([bench.program("holdfast-bench-connect"), "alive", one.target, str(options.alive)],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            got = json.loads(process.stdout.readline())
            if name == "holdfast":
                live = one.daemon.json("status", "bench")["units"][0]["connections"]["live"]
                bench.judge("1,000 alive at once: those that status does not have", abs(live - options.alive), 0)
            process.communicate(b"x")
        print("%-18s %d alive at once after %.2f s, %d lost" % (name, got["answered"], got["seconds"], got["lost"]))
        bench.lost = bench.lost or (name.startswith("holdfast") and got["lost"] > 0)
        spent[name] = got["seconds"]
    bench.results["alive_seconds"] = spent


def private_kib(pid):
    with open("/proc/%d/smaps_rollup" % pid, encoding="ascii") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Private_"))


def latencies(port, seconds, rate):
    """Of a unit with accept, in ms: connect to the first byte."""
    found = []
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        due = begin + len(found) / rate
        time.sleep(max(0, due - time.monotonic()))
        at = time.monotonic()
        with connect(port) as sock:
            sock.recv(1)
        found.append((time.monotonic() - at) * 1e3)
    return sorted(found)


def p99(values):
    return values[int(len(values) * 0.99)]


class FloodersOwn:
    """Who floods would do so from machines of his own, not with the time of our processors. While this lasts, one of them is his, with what
    the kernel does for his packets, since those of the loopback device are received where they are sent; everything else runs on the others.
    Where there is only one, he has what is left of it."""

    def __enter__(self):
        self.all = os.sched_getaffinity(0)
        self.his = {max(self.all)}
        if len(self.all) > 1:
            os.sched_setaffinity(0, self.all - self.his)
        return self

    def __exit__(self, *_):
        os.sched_setaffinity(0, self.all)

    def go_there(self):
        os.sched_setaffinity(0, self.his)
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


class StartsBeside:
    """What serving a flood costs whoever does it: so many processes a second, started by us."""

    def __init__(self, rate):
        self.rate, self.done = rate, threading.Event()
        self.thread = threading.Thread(target=self.run) if rate > 0 else None

    def run(self):
        running = []
        while not self.done.wait(1 / self.rate):
            running.append(subprocess.Popen(["/bin/cat"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True))
            running = [one for one in running if one.poll() is None]
        for one in running:
            one.wait()

    def __enter__(self):
        if self.thread:
            self.thread.start()

    def __exit__(self, *_):
        self.done.set()
        if self.thread:
            self.thread.join()


def flooded(bench, options, own, web, other, target, kind, sources, starts=0):
    """What the clients of two other units see meanwhile: p99 in ms; and what the flooder says."""
    flooding = subprocess.Popen([bench.program("holdfast-bench-connect"), "flood", target, str(options.flood), kind, str(sources)],
                                stdout=subprocess.PIPE, preexec_fn=own.go_there)
    with StartsBeside(starts):
        clients = see(bench, options, web, other)
    return clients, json.loads(flooding.communicate()[0])


def see(bench, options, web, other):
    busy = load(bench, "127.0.0.1:" + web, 200, options.flood_seconds)
    of_other = p99(latencies(other, options.flood_seconds, options.flood_rate))
    return busy.result()["latency_us"]["p99"] / 1e3, of_other


def time_until_served(target):
    began = time.monotonic()
    while time.monotonic() - began < 30:
        with connect(target) as sock:
            try:
                sock.sendall(b"x")
                if sock.recv(1) == b"x":
                    break
            except OSError:
                pass
    return time.monotonic() - began


def flood(bench, options):
    """On this machine the flood itself costs time, too, and so does each process that is started: beside it the same flood on a listener that
    nobody accepts from, with as many processes started by a script as the limited unit may start."""
    limited, other, web = (str(free_port()) for _ in range(3))
    units = {"limited": accept_unit(["/bin/cat"], "127.0.0.1:" + limited, max_connections=64, max_connections_per_source=8,
                                    trigger_limit_burst=options.flood_starts),
             "other": accept_unit(ANSWER, "127.0.0.1:" + other),
             "web": web_unit(bench, "127.0.0.1:" + web)}
    with FloodersOwn() as own, Holdfastd(bench, units, (bench.program("holdfast-keeper"), "--")) as daemon:
        pid = int(subprocess.run(["pgrep", "-P", str(daemon.process.pid)], stdout=subprocess.PIPE, check=True, text=True).stdout.split()[0])
        for kind, sources in (("silent", 1), ("reset", 1), ("silent", 250), ("reset", 250)):
            what = "%s, %d source%s" % (kind, sources, "" if sources == 1 else "s")
            rounds, growth, back = [], [], []
            for _ in range(options.rounds):
                without = see(bench, options, web, other)
                with socket.create_server(("127.0.0.1", 0), backlog=4096) as bare:
                    beside, _ = flooded(bench, options, own, web, other, str(bare.getsockname()[1]), kind, sources, options.flood_starts / 2)
                memory = private_kib(pid)
                during, got = flooded(bench, options, own, web, other, limited, kind, sources)
                back.append(time_until_served(limited))
                growth.append(private_kib(pid) - memory)
                rounds.append((without, beside, during))
                counts = daemon.json("status", "limited")["units"][0]["connections"]
                print("%d connections (%s) in %.1f s: %d accepted, %d refused by source, so far; p99 without, of the script, flooded: "
                      "web %.2f, %.2f, %.2f ms, other %.2f, %.2f, %.2f ms"
                      % (got["made"], what, got["seconds"], counts["accepted"], counts["refused_source"],
                         without[0], beside[0], during[0], without[1], beside[1], during[1]))
            medians = [[statistics.median(one[side][unit] for one in rounds) for unit in (0, 1)] for side in (0, 1, 2)]
            for unit, name in enumerate(("web", "another unit with accept")):
                bench.judge("flood (%s): p99 of %s / without" % (what, name), medians[2][unit] / medians[0][unit], 1.5)
                bench.judge("flood (%s): the same / flooded and started by a script" % what, medians[2][unit] / medians[1][unit], 1.5)
            bench.judge("flood (%s): holdfastd grows by" % what, max(growth), 1024, " KiB")
            bench.judge("flood (%s): the unit is back after" % what, max(back), 1.0, " s")


def main():
    with Bench("accept", __doc__) as bench:
        bench.parser.add_argument("--peers", default="", help="folder that the peers are unpacked in; without: none")
        bench.parser.add_argument("--rounds", type=int, default=3)
        bench.parser.add_argument("--seconds", type=float, default=2)
        bench.parser.add_argument("--parallel", type=int, default=16)
        bench.parser.add_argument("--alive", type=int, default=1000)
        bench.parser.add_argument("--flood", type=int, default=50000)
        bench.parser.add_argument("--flood-seconds", type=float, default=6)
        bench.parser.add_argument("--flood-rate", type=int, default=100, help="connections a second of the other unit with accept")
        bench.parser.add_argument("--flood-starts", type=int, default=20, help="trigger_limit_burst (in 2 s) of the flooded unit")
        bench.parser.add_argument("--part", choices=("rate", "alive", "flood"), action="append", help="only this; may be given more than once")
        options = bench.parse()
        parts = options.part or ["rate", "alive", "flood"]
        theirs = ["tcpserver", "xinetd", "openbsd-inetd", "s6-ipcserver"] if options.peers else []
        if "rate" in parts:
            measure_rate(bench, options, ["holdfast", *theirs, "holdfast-unix", "holdfast-alone"])
        if "alive" in parts:
            # xinetd leaves some of the crowd waiting for good.
            measure_alive(bench, options, ["holdfast", *(name for name in theirs if name != "xinetd")])
        if "flood" in parts:
            flood(bench, options)
        return bench.finish()


if __name__ == "__main__":
    sys.exit(main())
