# SPDX-License-Identifier: Apache-2.0
"""bomb.py MARK: forks without end, each child in a session of its own, some of which end at once; never more than 100 live."""
import os
import random
import signal
import time

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
left, tokens = os.pipe()
os.set_blocking(left, False)
os.write(tokens, b"x" * 100)
begun_by = os.getpid()
while True:
    try:
        os.read(left, 1)
    except BlockingIOError:
        time.sleep(0.005)
    else:
        if os.fork() == 0:
            os.setsid()
            random.seed()
            if random.random() < 0.3:
                os.write(tokens, b"x")
                os._exit(0)
    if os.getpid() != begun_by and random.random() < 0.01:
        os.write(tokens, b"x")
        os._exit(0)
