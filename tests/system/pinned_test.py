# SPDX-License-Identifier: Apache-2.0
"""A generation is filled again from the very file that it was started from, whatever is at that path by then."""
import os
import shutil
import signal

from common import program
from harness import Story, http_get, main, wait_for, web


class PinnedProgram(Story):
    def deployed(self, workers=2):
        """A daemon whose unit "web" runs a copy of the example server that may be replaced."""
        self.path = os.path.join(self.folder, "server")
        shutil.copy(program("holdfast-webserver"), self.path)
        unit = web(workers=workers, restart="always").replace(program("holdfast-webserver"), self.path)
        self.assertIn(self.path, unit)
        daemon = self.daemon({"web": unit})
        wait_for("all to be ready", lambda: len(self.ready(daemon)) == workers)
        return daemon

    def deploy(self, text):
        with open(self.path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path + ".new", 0o755)
        os.replace(self.path + ".new", self.path)

    def ready(self, daemon):
        return [w["pid"] for w in daemon.workers("web") if w["state"] == "ready"]

    def kill_and_wait(self, daemon):
        before = self.ready(daemon)
        os.kill(before[0], signal.SIGKILL)

        def replaced():
            now = self.ready(daemon)
            return now if len(now) == len(before) and before[0] not in now else None
        return [pid for pid in wait_for("another in its place", replaced) if pid not in before][0]

    def test_a_crash_after_a_bad_deployment_starts_what_was_running(self):
        daemon = self.deployed()
        self.deploy("#!/bin/sh\nexit 3\n")
        fresh = self.kill_and_wait(daemon)
        self.assertIn("(deleted)", os.readlink("/proc/%d/exe" % fresh))
        self.assertEqual(http_get(daemon.port("web"))[0], 200)
        # The new release is what a restart starts, and it fails; the old one goes on.
        self.assert_says(daemon.run("restart", "web"), 1, "exit code 3")
        self.assertEqual(len(self.ready(daemon)), 2)

    def test_a_program_that_was_removed_is_started_again(self):
        daemon = self.deployed()
        os.unlink(self.path)
        load = self.load(daemon.port("web"), rate=200)
        self.kill_and_wait(daemon)
        self.assertEqual(load.finish()["failures"]["refused"], 0)
        self.assert_says(daemon.run("restart", "web"), 1, self.path)

    def test_a_worker_of_a_pinned_program_has_no_descriptor_more(self):
        daemon = self.deployed(workers=1)
        before = sorted(os.listdir("/proc/%d/fd" % self.ready(daemon)[0]), key=int)[:5]
        os.unlink(self.path)
        fresh = self.kill_and_wait(daemon)
        self.assertEqual(sorted(os.listdir("/proc/%d/fd" % fresh), key=int)[:5], before)
        names = [os.readlink("/proc/%d/fd/%s" % (fresh, fd)) for fd in os.listdir("/proc/%d/fd" % fresh)]
        self.assertFalse([name for name in names if self.path in name], names)

    def test_the_file_of_a_release_is_held_until_nothing_can_go_back_to_it(self):
        daemon = self.deployed(workers=1)
        releases = [self.keep()]
        for held in ([0, 1], [1, 2], [2, 3]):
            shutil.copy(program("holdfast-webserver"), self.path + ".new")
            os.replace(self.path + ".new", self.path)
            releases.append(self.keep())
            self.assert_says(daemon.run("restart", "web"), 0)
            # The one that runs, and the one before, which `rollout undo` would start.
            self.assertEqual([i for i, file in enumerate(releases) if file in self.held_by(daemon)], held)

    def keep(self):
        """The identity of the file at the path, which has another name from now on, so that no later one gets its number."""
        node = os.stat(self.path)
        os.link(self.path, "%s.%d" % (self.path, node.st_ino))
        return node.st_dev, node.st_ino

    def held_by(self, daemon):
        folder = "/proc/%d/fd" % daemon.pid
        nodes = [os.stat(os.path.join(folder, fd)) for fd in os.listdir(folder) if os.path.exists(os.path.join(folder, fd))]
        return {(node.st_dev, node.st_ino) for node in nodes}


if __name__ == "__main__":
    main()
