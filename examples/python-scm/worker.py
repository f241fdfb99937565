#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
import os, selectors, signal, socket

handoff = socket.socket(fileno=int(os.environ["HOLDFAST_HANDOFF"]))
handoff.send(b"get http")
text, fds, _, _ = socket.recv_fds(handoff, 65536, 253)  # "fds COUNT REMAINING", then a name per descriptor
assert text.startswith(b"fds "), text.decode()
listener = socket.socket(fileno=fds[0])
asked_to_go, wakeup = socket.socketpair()
wakeup.setblocking(False)
signal.set_wakeup_fd(wakeup.fileno())  # a handler that raised could lose a connection just accepted
signal.signal(signal.SIGTERM, lambda *_: None)
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))
ready = selectors.DefaultSelector()
ready.register(listener, selectors.EVENT_READ)
ready.register(asked_to_go, selectors.EVENT_READ)
while asked_to_go not in [key.fileobj for key, _ in ready.select()]:
    try:
        connection, _ = listener.accept()
    except BlockingIOError:  # another generation was faster
        continue
    with connection:
        connection.settimeout(5)
        connection.recv(65536)
        body = b"python worker pid=%d\n" % os.getpid()
        connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
