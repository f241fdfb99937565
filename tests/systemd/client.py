# SPDX-License-Identifier: Apache-2.0
"""Load from inside the machine: client.py PORT|PATH [--once]. Asks again and again, a connection each, until its standard input ends; then says
as one JSON object how it went: ok, failed, failures {what: how often}, longest (seconds), bodies {answer: how often}. --once: one request."""
import collections
import json
import socket
import sys
import threading
import time

THREADS = 8
PAUSE = 0.01  # of each, between two requests
PATIENCE = 20

target = sys.argv[1]
stop = threading.Event()
lock = threading.Lock()
bodies, failures = collections.Counter(), collections.Counter()
longest = 0.0


def ask():
    with socket.socket(socket.AF_INET if target.isdigit() else socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(("127.0.0.1", int(target)) if target.isdigit() else target)
        sock.sendall(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n")
        answer = b""
        while data := sock.recv(1 << 16):
            answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise OSError("no answer" if not head else head.splitlines()[0].decode())
    return body.decode()


def client():
    while not stop.is_set():
        note_one()
        stop.wait(PAUSE)


def note_one():
    global longest
    began = time.monotonic()
    try:
        body, problem = ask(), None
    except OSError as error:
        body, problem = None, "%s: %s" % (type(error).__name__, error)
    with lock:
        longest = max(longest, time.monotonic() - began)
        (failures if problem else bodies)[problem or body] += 1


def load():
    threads = [threading.Thread(target=client) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    print("begun", flush=True)
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()


if "--once" in sys.argv:
    note_one()
else:
    load()
print(json.dumps({"ok": sum(bodies.values()), "failed": sum(failures.values()), "failures": failures, "longest": longest, "bodies": bodies}))
