# SPDX-License-Identifier: Apache-2.0
"""`holdfast upgrade`: another program takes over everything that runs, or the one from before goes on and the command says why.
HOLDFAST_UPGRADES: how often under load (default 12)."""
import os
import shutil
import time

from harness import FACTOR, Story, main, program, wait_for, web

UPGRADES = int(os.environ.get("HOLDFAST_UPGRADES", "12"))


class Upgrade(Story):
    def setUp(self):
        super().setUp()
        self.program = os.path.join(self.folder, "holdfastd")
        shutil.copy(program("holdfastd"), self.program)

    def kept(self, units, *options, **more):
        """A holdfastd at a path of its own, so that another can be put there."""
        return self.daemon(units, wrapper=(program("holdfast-keeper"), *options, "--", self.program), command=True, **more)

    def install(self, text=None):
        """As a package does: a new file, by rename. `text`: a script; else the real one again."""
        if text is None:
            shutil.copy(program("holdfastd"), self.program + ".new")
        else:
            with open(self.program + ".new", "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(self.program + ".new", 0o755)
        os.rename(self.program + ".new", self.program)

    def test_the_program_that_is_there_now_takes_over(self):
        daemon = self.kept({"web": web(workers=2)})
        before = daemon.call("Version")
        workers = [w["pid"] for w in daemon.unit("web")["workers"]]
        self.install()
        self.assert_says(daemon.run("upgrade"), 0, "has taken over")
        after = daemon.call("Version")
        self.assertNotEqual(before["pid"], after["pid"])
        self.assertEqual((after["upgrade"], after["starts"]), ("ok", before["starts"] + 1))
        self.assertEqual(os.stat("/proc/%d/exe" % after["pid"]).st_ino, os.stat(self.program).st_ino)
        self.assertEqual([w["pid"] for w in daemon.unit("web")["workers"]], workers)
        self.assert_says(daemon.run("restart", "web"), 0, "is done")

    def fails(self, text, words, mode=None):
        daemon = self.kept({"web": web()}, "--ready-timeout", "%dms" % (1000 * FACTOR), folder=words.replace(" ", "-")[:20])
        load = self.load(daemon.port("web"), seconds=2.5)
        workers = [w["pid"] for w in daemon.unit("web")["workers"]]
        self.install(text)
        if mode is not None:
            os.chmod(self.program, mode)
        self.assert_says(daemon.run("upgrade"), 1, "the upgrade failed", words, "goes on in charge")
        self.assertEqual([w["pid"] for w in daemon.unit("web")["workers"]], workers)
        self.assert_says(daemon.run("restart", "web"), 0, "is done")
        self.assert_clean(load.finish())

    def test_one_that_exits_leaves_the_previous_in_charge(self):
        self.fails("#!/bin/sh\nexit 3\n", "ended with status 3 before it was ready, twice")

    def test_one_that_hangs_leaves_the_previous_in_charge(self):
        self.fails("#!/bin/sh\nexec sleep 60\n", "it was not ready within")

    def test_one_that_cannot_be_executed_leaves_the_previous_in_charge(self):
        self.fails("not a program", "it cannot be executed", mode=0o644)

    def test_one_that_takes_all_and_dies_leaves_the_previous_in_charge(self):
        # It adopts everything, begins to save it again in its own way, and is killed before it says that it is ready.
        self.needs_strace()
        self.fails("#!/bin/sh\nexec strace -D -o /dev/null -e trace=sendmsg -e inject=sendmsg:signal=SIGKILL:when=5 %s \"$@\"\n"
                   % program("holdfastd"), "was killed by SIGKILL before it was ready, twice")

    def test_without_a_keeper_it_is_refused(self):
        daemon = self.daemon({"web": web()})
        self.assert_says(daemon.run("upgrade"), 1, "not upgraded", "holdfast-keeper")
        self.assertEqual(daemon.unit("web")["state"], "active")

    def test_upgrades_under_load_cost_nobody_anything(self):
        daemon = self.kept({"web": web(workers=2)})
        load = self.load(daemon.port("web"), seconds=UPGRADES * 0.6 + 1, rate=300)
        due = time.monotonic()
        for _ in range(UPGRADES):
            self.install()
            self.assert_says(daemon.run("upgrade"), 0, "has taken over")
            due += 0.5
            time.sleep(max(0.0, due - time.monotonic()))
        self.assert_clean(load.finish())
        self.assertEqual(daemon.call("Version")["starts"], UPGRADES + 1)

    def test_an_upgrade_in_the_midst_of_a_rollout(self):
        daemon = self.kept({"web": web(arguments=("--boot-delay", "%dms" % (300 * FACTOR)), workers=2)})
        command = daemon.popen("restart", "web")
        wait_for("the second generation", lambda: any(w["generation"] == 2 for w in daemon.unit("web")["workers"]))
        self.assert_says(daemon.run("upgrade"), 0, "has taken over")
        command.communicate(timeout=30 * FACTOR)
        wait_for("its end", lambda: [(w["generation"], w["state"]) for w in daemon.unit("web")["workers"]] == [(2, "ready")] * 2)


if __name__ == "__main__":
    main()
