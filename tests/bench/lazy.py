# SPDX-License-Identifier: Apache-2.0
"""Lazy start: connect to first byte, against the same server executed by hand with the connection waiting in its queue."""
import os
import socket
import statistics
import subprocess
import sys
import time

from common import BLOCK, Bench, Holdfastd, web_unit

BUDGET = 5.0  # ms more than the worker's own boot
REQUEST = b"GET / HTTP/1.0\r\n\r\n"


def address(side, i):
    return "%s.%d.%d" % (BLOCK, ("lazy", "bare").index(side), i + 1)


def connect(where):
    sock = socket.socket()
    sock.settimeout(30)
    sock.connect(where)
    sock.sendall(REQUEST)
    return sock


def first_byte_lazy(where):
    begin = time.monotonic()
    with connect(where) as sock:
        sock.recv(1)
        return (time.monotonic() - begin) * 1e3


def first_byte_bare(bench, where):
    """The same with nobody between: listen, connect, fork + execve of the server, first byte."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(16)
        listener.setblocking(False)
        begin = time.monotonic()
        with connect(where) as sock:
            pid = os.fork()
            if pid == 0:
                try:
                    os.dup2(listener.fileno(), 3)
                    os.set_inheritable(3, True)
                    program = bench.program("holdfast-webserver")
                    os.execve(program, [program], {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())})
                finally:
                    os._exit(127)
            sock.recv(1)
            spent = (time.monotonic() - begin) * 1e3
        os.kill(pid, 15)
        os.waitpid(pid, 0)
        return spent


def main():
    with Bench("lazy", __doc__) as bench:
        bench.parser.add_argument("--starts", type=int, default=50)
        options = bench.parse()
        subprocess.run([bench.program("holdfast-webserver"), "--help"], stdout=subprocess.DEVNULL, check=True)  # warm
        units = {"lazy%d" % i: web_unit(bench, "%s:20000" % address("lazy", i), service='activation = "lazy"')
                 for i in range(options.starts)}
        lazy, bare = [], []
        with Holdfastd(bench, units):
            for i in range(options.starts):
                lazy.append(first_byte_lazy((address("lazy", i), 20000)))
                bare.append(first_byte_bare(bench, (address("bare", i), 20000)))
        bench.results["ms"] = {"lazy": lazy, "bare": bare}
        print("connect to first byte, median of %d: lazy %.2f ms (worst %.2f), executed by hand %.2f ms (worst %.2f)" %
              (options.starts, statistics.median(lazy), max(lazy), statistics.median(bare), max(bare)))
        bench.judge("lazy start - the worker's own boot (medians)", statistics.median(lazy) - statistics.median(bare), BUDGET, " ms")
        return bench.finish()


if __name__ == "__main__":
    sys.exit(main())
