#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A UDP server whose clients are known by a connection ID, as in QUIC, and not by their address.

A datagram is KIND (1 byte), CONNECTION ID (8 bytes), data. The first byte of an ID names the worker that gave it: the kernel brings
whatever bears it to that worker, over restarts too (mode = "payload_byte"). An ID of zeros means: I have none yet.
"""
import os
import secrets
import select
import signal
import socket

OPEN, DATA, CLOSE, UNKNOWN = range(4)
OWN = bytes([int(os.environ["HOLDFAST_STEERING_ID"])])
SAYS = b"generation=%s pid=%d" % (os.environ["HOLDFAST_GENERATION"].encode(), os.getpid())

sock = socket.socket(fileno=3)
sock.setblocking(False)
asked_to_go, wakeup = socket.socketpair()
wakeup.setblocking(False)
signal.set_wakeup_fd(wakeup.fileno())
signal.signal(signal.SIGTERM, lambda *_: None)
flows = {}  # connection ID: how many datagrams it has sent


def answer(datagram, peer):
    kind, flow = datagram[0], datagram[1:9]
    if kind == OPEN:
        flow = OWN + secrets.token_bytes(7)
        flows[flow] = 0
    elif flow not in flows:
        kind = UNKNOWN  # of a worker that is gone: the client has to open another
    elif kind == CLOSE:
        del flows[flow]
    else:
        flows[flow] += 1
    sock.sendto(bytes([kind]) + flow + SAYS, peer)


def serve_what_waits():
    while True:
        try:
            datagram, peer = sock.recvfrom(65536)
        except BlockingIOError:
            return
        if len(datagram) >= 9:
            answer(datagram, peer)


with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))
goes = False
while not goes or flows:  # who is told to go serves its flows to their end, or until drain_timeout
    ready, _, _ = select.select([sock] if goes else [sock, asked_to_go], [], [])
    if sock in ready:
        serve_what_waits()
    goes = goes or asked_to_go in ready
serve_what_waits()
