# SPDX-License-Identifier: Apache-2.0
"""Asks for listeners by SCM_RIGHTS, on HOLDFAST_HANDOFF or (with --share PATH) on handoff.sock, and writes what came, a line of JSON
per frame: {"head": ..., "names": [...], "addresses": [...], "inodes": [...]}.

scm_worker.py OUT QUESTION [--serve] [--share PATH] [--after FILE]     --serve: says READY=1, and writes pushes too until SIGTERM
--after: asks when FILE exists
"""
import json
import os
import select
import signal
import socket
import sys
import time


def address_of(fd):
    with socket.socket(fileno=os.dup(fd)) as sock:
        name = sock.getsockname()
    return name if isinstance(name, str) else name.decode(errors="replace") if isinstance(name, bytes) else "%s:%d" % name[:2]


def receive(sock, out):
    """One frame, written down. Returns its first line's words, or None at the end."""
    text, fds, flags, _ = socket.recv_fds(sock, 65536, 253)
    if not text:
        return None
    lines = text.decode().splitlines()
    line = {"head": lines[0], "names": lines[1:], "addresses": [address_of(fd) for fd in fds],
            "inodes": [os.fstat(fd).st_ino for fd in fds], "truncated": flags & socket.MSG_CTRUNC}
    for fd in fds:
        os.close(fd)
    out.write(json.dumps(line) + "\n")
    out.flush()
    return lines[0].split()


def main():
    path, question = sys.argv[1:3]
    if "--share" in sys.argv:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sock.connect(sys.argv[sys.argv.index("--share") + 1])
    else:
        sock = socket.socket(fileno=int(os.environ["HOLDFAST_HANDOFF"]))
    while "--after" in sys.argv and not os.path.exists(sys.argv[sys.argv.index("--after") + 1]):
        time.sleep(0.005)
    out = sys.stdout if path == "-" else open(path, "w")
    sock.send(question.encode())
    while True:
        head = receive(sock, out)
        if head is None or head[0] == "error" or head[2] == "0":
            break
    if "--serve" not in sys.argv:
        return
    asked, wakeup = socket.socketpair()
    wakeup.setblocking(False)
    signal.set_wakeup_fd(wakeup.fileno())
    signal.signal(signal.SIGTERM, lambda *_: None)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
    while asked not in select.select([sock, asked], [], [])[0]:
        receive(sock, out)


main()
