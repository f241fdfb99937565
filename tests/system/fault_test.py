# SPDX-License-Identifier: Apache-2.0
"""holdfastd is killed at system calls, one after the other, while it starts workers and replaces them: nothing is lost and nothing is there twice.
HOLDFAST_FAULTS: how many of each call (default 6; all that there are take some minutes)."""
import os
import signal

from harness import FACTOR, Story, children_of, command_of, main, program, state_of, wait_for, web

FAULTS = int(os.environ.get("HOLDFAST_FAULTS", "6"))
# Between the order to start a worker and its pidfd with the keeper: the hand-off socket, the pipes, the fork, the memfds, the messages, the gate.
CALLS = ("clone3", "pipe2", "memfd_create", "sendmsg", "write", "close", "pidfd_send_signal", "waitid")


class Fault(Story):
    def setUp(self):
        super().setUp()
        self.needs_strace()

    def program_with_fault(self, call, number):
        """Killed on entry to that call: the first time it runs, or the next time when `again` is removed."""
        path = os.path.join(self.folder, "%s-%d" % (call, number))
        os.mkdir(path)
        script = os.path.join(path, "holdfastd")
        with open(script, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n"
                       "test -e %(done)s && exec %(program)s \"$@\"\n"
                       ": > %(done)s\n"
                       "exec strace -D -o %(log)s -e trace=%(call)s -e inject=%(call)s:signal=SIGKILL:when=%(number)d %(program)s \"$@\"\n"
                       % {"done": path + "/done", "log": path + "/log", "program": program("holdfastd"), "call": call, "number": number})
        os.chmod(script, 0o755)
        return path, script

    def workers_of(self, daemon):
        return sorted(pid for parent in (daemon.pid, *children_of(daemon.pid)) for pid in children_of(parent)
                      if "holdfast-webserver" in command_of(pid) and state_of(pid) not in "Z")

    def one(self, call, number):
        """True if that call was come by."""
        folder, script = self.program_with_fault(call, number)
        daemon = self.daemon({"web": web(workers=2, handoff=["listen_fds", "scm_rights"])}, folder=os.path.basename(folder), command=True,
                             wrapper=(program("holdfast-keeper"), "--", script))
        daemon.run("restart", "web", deadline=30 * FACTOR)
        daemon.run("restart", "web", deadline=30 * FACTOR)
        starts = daemon.call("Version")["starts"]
        workers = wait_for("two workers", lambda: [w for w in (daemon.unit("web")["workers"],) if [x["state"] for x in w] == ["ready"] * 2])[0]
        wait_for("these and no others after %s %d" % (call, number), lambda: self.workers_of(daemon) == sorted(w["pid"] for w in workers))
        self.assertEqual(daemon.unit("web")["state"], "active")
        if starts == 1:  # it is still to come, and is not to come while it stops
            os.kill(daemon.call("Version")["pid"], signal.SIGKILL)
            wait_for("the next", lambda: daemon.call("Version")["starts"] == 2)
        self.assertEqual(daemon.end(), 0)
        self.assertEqual(self.workers_of(daemon), [])
        return starts > 1

    def test_a_death_at_any_system_call_loses_and_doubles_nothing(self):
        hits = {}
        for call in CALLS:
            number = hits[call] = 0
            while number < FAULTS and self.one(call, number + 1):
                number += 1
                hits[call] = number
        print("  killed at " + ", ".join("%s %d times" % (call, count) for call, count in hits.items() if count))
        for call in ("clone3", "sendmsg", "write"):
            self.assertGreater(hits[call], 0, call)


if __name__ == "__main__":
    main()
