# SPDX-License-Identifier: Apache-2.0
"""A worker that does what a test tells it: it gives the test every descriptor that it was handed, says READY=1, and then says to
NOTIFY_SOCKET what the test wants, with the descriptors that come with it. Run as: store_worker.py SOCKET_OF_THE_TEST [scm_rights].
"""
import json
import os
import select
import signal
import socket
import sys


def say(text, fds=()):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.connect(os.environ["NOTIFY_SOCKET"])
        socket.send_fds(sock, [text.encode("latin-1")], list(fds))


def barrier():
    """Until everything that was said has been heard."""
    ours, theirs = os.pipe()
    say("BARRIER=1", [theirs])
    os.close(theirs)
    select.select([ours], [], [])
    os.close(ours)


def ask():
    handoff = socket.socket(fileno=int(os.environ["HOLDFAST_HANDOFF"]))
    handoff.send(b"get")
    names, fds, remaining = [], [], 1
    while remaining > 0:
        text, more, _, _ = socket.recv_fds(handoff, 65536, 253)
        head, *lines = text.decode().split("\n")
        remaining = int(head.split()[2])
        names += lines
        fds += more
    return names, fds


def inherited():
    count = int(os.environ.get("LISTEN_FDS", "0"))
    names = os.environ.get("LISTEN_FDNAMES", "")
    return names.split(":") if count > 0 else [], list(range(3, 3 + count))


def main():
    test = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    test.connect(sys.argv[1])
    names, fds = ask() if sys.argv[2:] == ["scm_rights"] else inherited()
    test.send(json.dumps({"pid": os.getpid(), "names": names}).encode())
    for i in range(0, len(fds), 200):
        socket.send_fds(test, [b"."], fds[i:i + 200])
    asked, wakeup = socket.socketpair()
    wakeup.setblocking(False)
    signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda *_: None)
    say("READY=1")
    while asked not in select.select([test, asked], [], [])[0]:
        text, given, _, _ = socket.recv_fds(test, 65536, 253)
        if not text:
            return
        order = json.loads(text)
        say(order["say"], given)
        for fd in given:
            os.close(fd)
        if "exit" in order:
            os._exit(order["exit"])
        if order["barrier"]:
            barrier()
        test.send(b"done")


main()
