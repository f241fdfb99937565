# SPDX-License-Identifier: Apache-2.0
"""A worker that does what its arguments say, in their order; then it answers connections until SIGTERM.

Run with -I -S, so that it starts quickly. Each argument is ACTION or ACTION=VALUE:

    say=TEXT          a message to NOTIFY_SOCKET ("READY=1", "STATUS=..."); {pid} is our own (in a unit file: {{pid}})
    note=FILE         append "pid" and a newline to FILE: somebody counts the starts
    wait=FILE         until FILE exists, or SIGTERM comes
    exit=CODE         end here; kill=SIGNAL: end here by a signal
    ignore-term       SIGTERM is noted by "say", and that is all
    children=FILE     two children that ignore SIGTERM, one with a child of its own; their pids go to FILE
    become-child      fork; the child goes on, the parent ends when told to (MAINPID= is the child's business)
    orphan-sends=TEXT a process that is not ours any more (own session) sends TEXT
    orphan            a short-lived process that outlives its parent
    hold              accept connections and keep them open, without an answer, to the end
    udp               answer datagrams instead of connections
    on-term=TEXT      what to say when SIGTERM comes, before the end
    term-takes=FILE   after SIGTERM, end only when FILE exists
    shutdown          shutdown(2) the listeners when SIGTERM comes, as some servers do
    shutdown-on-usr1  the same whenever SIGUSR1 comes, and serve on
    shutdown-always   the same without end, from a thread
    reload=FILE       SIGHUP: its pid goes to FILE, then as the word in FILE.how says: "hang", "die", "late" (an old MONOTONIC_USEC),
                      else RELOADING=1 and READY=1 as sd_notify(3) says
    ping-until=FILE   WATCHDOG=1 four times as often as WATCHDOG_USEC asks for, until FILE exists; each 10th is noted in FILE.pings
"""
import os
import select
import signal
import socket
import sys
import threading
import time


def say(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(text.replace("{pid}", str(os.getpid())).encode(), os.environ["NOTIFY_SOCKET"])


def append(path, text):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.write(fd, text.encode())
    os.close(fd)


def wait_for(path, asked=None):
    """Ends the program when it is asked to go meanwhile, if it listens to that."""
    while not os.path.exists(path):
        if asked is not None and select.select([asked], [], [], 0.005)[0]:
            sys.exit(0)
        time.sleep(0.005)


def stubborn():
    """A child that only SIGKILL ends."""
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(60)
    return pid


def leave_children(path):
    first = stubborn()
    reader, writer = os.pipe()
    second = os.fork()
    if second == 0:
        os.write(writer, b"%d" % stubborn())
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(60)
    third = int(os.read(reader, 20))
    append(path + ".new", "%d %d %d\n" % (first, second, third))
    os.rename(path + ".new", path)


def keep_pinging(until):
    if int(os.environ["WATCHDOG_PID"]) != os.getpid():
        sys.exit("WATCHDOG_PID is another process")
    pings = 0
    while not os.path.exists(until):
        say("WATCHDOG=1")
        pings += 1
        if pings % 10 == 0:
            append(until + ".pings", "%d\n" % os.getpid())
        time.sleep(int(os.environ["WATCHDOG_USEC"]) / 4e6)


def reload(path):
    try:
        with open(path + ".how") as file:
            how = file.read()
    except FileNotFoundError:
        how = "well"
    append(path, "%d\n" % os.getpid())
    if how == "hang":
        return
    if how == "die":
        os._exit(7)
    began = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    say("RELOADING=1\nMONOTONIC_USEC=%d" % (1 if how == "late" else began))
    say("READY=1\nSTATUS=reloaded")


def act(action, value, asked):
    if action == "say":
        say(value)
    elif action == "note":
        append(value, "%d\n" % os.getpid())
    elif action == "wait":
        wait_for(value, asked)
    elif action == "exit":
        sys.exit(int(value))
    elif action == "kill":
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), int(value))
    elif action == "children":
        leave_children(value)
    elif action == "become-child":
        parent = os.getpid()
        if os.fork() != 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            while True:
                signal.pause()
        if value:
            append(value, "%d %d\n" % (parent, os.getpid()))
    elif action == "orphan-sends":
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                while os.getppid() == os.getpgrp():  # until the session's leader is gone, we might be taken for ours
                    time.sleep(0.001)
                say(value)
                os.write(writer, b".")
            os._exit(0)
        os.close(writer)
        os.read(reader, 1)
    elif action == "orphan":
        if os.fork() == 0:
            if os.fork() == 0:
                time.sleep(0.05)
            os._exit(0)
        os.wait()
    else:
        sys.exit("worker.py: %s?" % action)


def answer(sock):
    sock.settimeout(5)
    try:
        sock.recv(65536)
        body = b"worker pid=%d\n" % os.getpid()
        sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
    except OSError:
        pass
    sock.close()


def serve(listeners, options, asked):
    held = []
    for sock in listeners:
        sock.setblocking(False)
    while True:
        ready = select.select([*listeners, asked], [], [])[0]
        if asked in ready:
            signals = asked.recv(100)
            if signal.SIGHUP in signals and "reload" in options:
                reload(options["reload"])
            if signal.SIGTERM not in signals and signal.SIGUSR1 not in signals:
                continue
            if signal.SIGTERM not in signals:
                for sock in listeners:
                    sock.shutdown(socket.SHUT_RDWR)
                continue
            if "on-term" in options:
                say(options["on-term"])
            if "shutdown" in options:
                for sock in listeners:
                    sock.shutdown(socket.SHUT_RDWR)
            if "term-takes" in options:
                wait_for(options["term-takes"])
            if "ignore-term" not in options:
                return
            continue
        for sock in ready:
            try:
                if "udp" in options:
                    text, peer = sock.recvfrom(65536)
                    sock.sendto(b"pid=%d %s" % (os.getpid(), text), peer)
                elif "hold" in options:
                    held.append(sock.accept()[0])
                else:
                    answer(sock.accept()[0])
            except (BlockingIOError, ConnectionAbortedError):  # another generation was faster
                pass
            except OSError:  # it is shut down: neither a client nor the end
                time.sleep(0.005)


def keep_shutting_down(listeners):
    while True:
        for sock in listeners:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:  # it is shut down already
                pass
        time.sleep(0.0001)


def main():
    asked, wakeup = socket.socketpair()
    wakeup.setblocking(False)
    signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda *_: None)
    options = {}
    for argument in sys.argv[1:]:
        action, _, value = argument.partition("=")
        if action == "ping-until":
            threading.Thread(target=keep_pinging, args=(value,), daemon=True).start()
        elif action in ("ignore-term", "hold", "udp", "on-term", "term-takes", "shutdown", "shutdown-on-usr1", "shutdown-always", "reload"):
            options[action] = value
            if action == "reload":
                signal.signal(signal.SIGHUP, lambda *_: None)
            if action == "shutdown-on-usr1":  # before anybody is told that we are ready
                signal.signal(signal.SIGUSR1, lambda *_: None)
        elif action == "once":
            if os.path.exists(value):
                break
            append(value, "")
        else:
            act(action, value, None if "ignore-term" in options else asked)
    listeners = [socket.socket(fileno=3 + i) for i in range(int(os.environ.get("LISTEN_FDS", "0")))]
    if "shutdown-always" in options:
        threading.Thread(target=keep_shutting_down, args=(listeners,), daemon=True).start()
    serve(listeners, options, asked)


main()
