# SPDX-License-Identifier: Apache-2.0
"""A holdfastd that does what a test tells it: it gives its end of the keeper's socket to the test, which speaks the protocol, and
then obeys. Run as: fake_holdfastd.py SOCKET_OF_THE_TEST [MODE]; mode "early": it ends with status 0 before it does anything.
"""
import json
import os
import signal
import socket
import sys


def connect():
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.connect(sys.argv[1])
    return sock


def work():
    """A worker: says each signal that it gets, and ends with 7 on SIGTERM."""
    heard = {signal.SIGTERM, signal.SIGUSR1, signal.SIGRTMIN}
    signal.pthread_sigmask(signal.SIG_BLOCK, heard)
    sock = connect()
    sock.send(json.dumps({"worker": os.getpid()}).encode())
    while True:
        number = signal.sigwaitinfo(heard).si_signo
        sock.send(b"%d" % number)
        if number == signal.SIGTERM:
            os._exit(7)


def fork_worker():
    pid = os.fork()
    if pid == 0:
        os.setsid()
        try:
            work()
        finally:
            os._exit(99)
    return pid


def fork_group():
    """Two processes in a session of their own; the first, which leads it, is a worker, the other does not end by itself."""
    member, ours = os.pipe()
    leader = os.fork()
    if leader == 0:
        os.setsid()
        if (pid := os.fork()) == 0:
            while True:
                signal.pause()
        os.write(ours, b"%d" % pid)
        try:
            work()
        finally:
            os._exit(99)
    return [leader, int(os.read(member, 16))]


def start_orphan():
    """A process whose parent ends at once, so that it is somebody else's; it ends with 5 as soon as we do."""
    alive, end = os.pipe()
    if os.fork() == 0:
        if os.fork() == 0:
            os.close(end)
            os.read(alive, 1)
            os._exit(5)
        os._exit(0)
    os.wait()


def open_files():
    """{number: what it is}, but for the folder that is read for it."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink("/proc/self/fd/" + name)
        except FileNotFoundError:
            pass
    return found


def main():
    if sys.argv[2:] == ["early"]:
        return
    test = connect()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda n, _: test.send(json.dumps({"signal": n}).encode()))
    keeper = os.environ.get("HOLDFAST_KEEPER")
    with open("/proc/self/status") as status:
        lines = dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)
    hello = {"pid": os.getpid(), "ppid": os.getppid(), "variables": {k: v for k, v in os.environ.items() if k.startswith("HOLDFAST_KEEPER")},
             "watchdog": os.environ.get("WATCHDOG_PID"),
             "open": open_files(), "blocked": lines["SigBlk"], "ignored": lines["SigIgn"],
             "arguments": sys.argv}
    import resource
    hello["limit"] = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    hello["test"] = test.fileno()
    socket.send_fds(test, [json.dumps(hello).encode()], [int(keeper)])
    # The test has it; what we have must not outlive us in a child that does not exec.
    os.close(int(keeper))
    while True:
        command = test.recv(4096).decode().split()
        if not command:
            return
        if command[0] == "exit":
            os._exit(int(command[1]))
        if command[0] == "die":  # of a signal that it has heard
            signal.signal(int(command[1]), signal.SIG_DFL)
            os.kill(os.getpid(), int(command[1]))
        answer = {"fork": fork_worker, "group": fork_group, "orphan": start_orphan}[command[0]]()
        test.send(json.dumps({"answer": answer}).encode())


main()
