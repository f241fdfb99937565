# SPDX-License-Identifier: Apache-2.0
"""What stories about units with `accept = true` share."""
import os
import signal

from harness import Story, connect, program, toml, wait_for

ECHO = ["/bin/cat"]


def unit(exec_start, listen="127.0.0.1:0", sockets=None, limit=None, **service):
    """Not as harness.unit_text, which has a [rollout]: with accept that is an error. limit: starts in 2 s, 0 any number."""
    lines = []
    limits = {} if limit is None else {"trigger_limit_burst": limit}
    for table in sockets or [{"name": "in", "listen": listen, **limits}]:
        lines += ["[[socket]]"] + ["%s = %s" % (k, toml(v)) for k, v in table.items()]
    service = {"exec_start": exec_start, "accept": True, "handoff": "inetd", **service}
    return "\n".join(lines + ["[service]"] + ["%s = %s" % (k, toml(v)) for k, v in service.items()]) + "\n"


def shell(script, **more):
    return unit(["/bin/sh", "-c", script], **more)


def said(sock):
    """All that it says until its end."""
    with sock:
        text = b""
        while True:
            more = sock.recv(65536)
            if not more:
                return text.decode()
            text += more


def echoes(sock, word=b"hello\n"):
    sock.sendall(word)
    return sock.recv(100) == word


def is_refused(port):
    """Reset, not served and not ended in order."""
    try:
        with connect(port) as sock:
            sock.recv(1)
            return False
    except ConnectionResetError:
        return True


class Accepting(Story):
    def accepting(self, units, **more):
        daemon = self.daemon(units, active=False, **more)
        for name in units:
            daemon.wait_state(name, "listening", "active")
        return daemon

    def kept(self, units, **more):
        return self.accepting(units, wrapper=(program("holdfast-keeper"), "--"), **more)

    def connections(self, daemon, name="web"):
        return daemon.unit(name)["connections"]

    def wait_live(self, daemon, live, name="web"):
        return wait_for("%d instances" % live, lambda: self.connections(daemon, name)["live"] == live)

    def wait_count(self, daemon, what, count, name="web"):
        return wait_for("%s %d" % (what, count), lambda: self.connections(daemon, name)[what] >= count)

    def wait_ended(self, daemon, count, name="web"):
        """That their ends are known: a client sees the last byte before holdfastd has seen the process go."""
        return wait_for("%d ends" % count, lambda: (lambda ended: ended if len(ended) == count else None)(self.connections(daemon, name)["ended"]))

    def kill(self, daemon):
        victim = daemon.call("Version")["pid"]
        os.kill(victim, signal.SIGKILL)
        wait_for("its successor", lambda: daemon.call("Version")["pid"] != victim)
