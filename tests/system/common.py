# SPDX-License-Identifier: Apache-2.0
"""What the harness stands on: where things are, waiting with a deadline, and what the kernel says of processes."""
import os
import random
import socket
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
FACTOR = float(os.environ.get("HOLDFAST_TIME_FACTOR", "1"))
DEADLINE = 20 * FACTOR  # of any single wait; nothing here takes a tenth of it
NOBODY = 65534
WORKER = os.path.join(HERE, "worker.py")
# Of the system, where there is one: every user may execute it.
PYTHON = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable


def program(name):
    return os.path.join(os.environ["HOLDFAST_BIN"], name)


def is_root():
    return os.geteuid() == 0


def wait_for(what, condition, deadline=DEADLINE):
    """Polls: only for what the kernel tells by no event. Returns the condition's first true value."""
    end = time.monotonic() + deadline
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("waited %.0f s for: %s" % (deadline, what))
        time.sleep(0.005)


def free_port(kind=socket.SOCK_STREAM):
    """Below the ports that the kernel gives to clients, so that no client takes it meanwhile."""
    while True:
        port = random.randrange(12000, 32000)
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def as_user(uid):
    """Arguments of Popen that make the child another user."""
    return {} if uid is None else {"user": uid, "group": uid, "extra_groups": []}


def children_of(pid):
    found = []
    try:
        for task in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/children" % (pid, task)) as file:
                found += [int(word) for word in file.read().split()]
    except FileNotFoundError:
        pass
    return found


def status_of(pid):
    """The fields of /proc/PID/status, as text."""
    with open("/proc/%d/status" % pid, encoding="ascii", errors="replace") as file:
        return {key: value.strip() for key, value in (line.split(":", 1) for line in file)}


def state_of(pid):
    """One letter as in ps(1); None when there is no such process."""
    try:
        with open("/proc/%d/stat" % pid) as file:
            return file.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def command_of(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as file:
            return file.read().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return "?"


def wait_gone(pid):
    wait_for("process %d (%s) to be gone" % (pid, command_of(pid)), lambda: state_of(pid) is None)


def has_ended(pid):
    return state_of(pid) in (None, "Z", "X")


def wait_ended(pid):
    """It may be somebody's zombie still."""
    wait_for("process %d (%s) to end" % (pid, command_of(pid)), lambda: has_ended(pid))
