# SPDX-License-Identifier: Apache-2.0
"""SIZE: a web server that holds SIZE bytes, so that its core takes a while to be written; it answers with its process id."""
import os
import select
import socket
import sys

# Only the first is large: its successor is to be up in no time.
memory = b"" if os.path.exists("first") else b"x" * int(sys.argv[1])
open("first", "w").close()
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.connect(os.environ["NOTIFY_SOCKET"])
    notify.send(b"READY=1")
listeners = [socket.socket(fileno=3 + i) for i in range(int(os.environ["LISTEN_FDS"]))]
while True:
    try:
        connection, _ = select.select(listeners, [], [])[0][0].accept()
    except BlockingIOError:
        continue
    with connection:
        connection.recv(4096)
        body = b"%d\n" % os.getpid()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))
