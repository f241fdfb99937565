# SPDX-License-Identifier: Apache-2.0
"""holdfast-keeper becomes a keeper of another version (SIGUSR2), newer or older: what that one does not understand costs nothing else."""
import os
import shutil
import signal

from harness import PYTHON, main, program, wait_for
from keeper import KeeperStory

# Stands between the keeper that was and the one that comes, and lets through another text than was written.
EDITOR = """#!%(python)s
import os, re, sys, textwrap
given = int(os.environ["HOLDFAST_KEEPER_STATE"])
text = os.pread(given, 1 << 24, 0).decode()
edited = {"text": text, "re": re}
exec(textwrap.dedent(%(edits)r), edited)
os.close(given)
made = os.memfd_create("edited", 0)
os.write(made, edited["text"].encode())
os.environ["HOLDFAST_KEEPER_STATE"] = str(made)
os.execv(%(real)r, sys.argv)
"""


class OtherVersions(KeeperStory):
    def own(self):
        """A copy of the keeper, which can be replaced."""
        self.path = os.path.join(self.folder, "holdfast-keeper")
        shutil.copy(program("holdfast-keeper"), self.path)
        return self.path

    def pass_through(self, keeper, edits):
        """It re-executes itself as a keeper of another version would have: what that one wrote is edited on its way."""
        real = os.path.join(self.folder, "real-keeper")
        shutil.copy(program("holdfast-keeper"), real)
        editor = os.path.join(self.folder, "editor")
        with open(editor, "w") as file:
            file.write(EDITOR % {"python": PYTHON, "real": real, "edits": edits})
        self.deploy(self.path, editor)
        after = os.stat(real).st_ino
        keeper.signal(signal.SIGUSR2)
        wait_for("the new keeper", lambda: self.file_of(keeper.pid) == after)

    def holding(self):
        """A keeper with a listener, a worker that was signalled once, a state and an exit."""
        keeper, fake = self.kept(binary=self.own())
        worker, talk = fake.fork_worker()
        listener, state = self.memfd("listener"), self.memfd("state")
        fake.put(listener_web=listener, worker_web_1=self.pidfd(worker))
        fake.say("state", [state])
        fake.say("signal\n10 worker web 1")
        self.assertEqual(talk.recv(10), b"10")
        return keeper, fake, listener, state

    def assert_holds(self, fake, listener, state, more=()):
        dump = fake.dump()
        self.assertEqual({k: v[:2] for k, v in dump["held"].items()}, {"listener web": (0, 0), "worker web 1": (1, 10), **dict(more)})
        self.assert_same_file(dump["held"]["listener web"][2], listener)
        self.assert_same_file(dump["state"], state)
        return dump

    def test_what_a_newer_keeper_wrote_is_kept_as_far_as_it_is_understood(self):
        """A line that was not understood made the new keeper give up everything that the one before had held."""
        keeper, fake, listener, state = self.holding()
        before = fake.dump()["start"]
        fds = self.held_by(keeper)
        self.pass_through(keeper, """
            text = text.replace("reason=first", "reason=whim").replace("short_lives=0", "short_lives=few").replace("upgrade=none", "upgrade=half")
            text = "colour=blue\\n" + text + "held-more=7 listener web\\nno sense at all\\nexit=soon\\n\\nalive_by=99999999999999999999999\\n"
        """)
        after = self.assert_holds(fake, listener, state)["start"]
        self.assertEqual(after, before)
        self.assertEqual(self.held_by(keeper), fds)
        self.wait_said("of what the keeper before this one had in hand 9 lines are not understood (the first: colour=blue)\n")
        self.assertEqual(self.said().count("\n"), 1)
        fake.kill()
        self.assertEqual(self.next_fake().ready().dump()["start"]["starts"], "2")

    def test_what_an_older_keeper_did_not_write_is_as_at_first(self):
        keeper, fake, listener, state = self.holding()
        self.pass_through(keeper, """
            late = ("alive_by", "unstarted", "was_forced", "untold_exits", "soft_limit", "hard_limit", "has_outer_store", "refused", "upgrade",
                    "previous_executable", "successor_ends")
            text = "".join(line + "\\n" for line in text.splitlines() if line.partition("=")[0] not in late)
        """)
        self.assert_holds(fake, listener, state)
        fake.kill()
        fake = self.next_fake().ready()
        self.assertGreater(fake.hello["limit"], 0)
        self.assert_holds(fake, listener, state)
        self.assertEqual(self.said().count("\n"), 1)  # that it was killed

    def test_a_descriptor_that_cannot_be_kept_is_the_only_one_that_is_lost(self):
        keeper, fake, listener, state = self.holding()
        fake.put(twice=self.memfd(), odd=self.memfd(), uncounted=self.memfd())
        before = fake.agree_with_keeper() or self.held_by(keeper)
        self.pass_through(keeper, """
            number = re.search("held=([0-9]+) 0 0 twice", text).group(1)
            text = re.sub("0 0 odd", "0 0 a/b", text)
            text = re.sub("0 0 uncounted", "many some uncounted", text)
            text += "held=%s 0 0 once more\\nheld=2 0 0 error\\nheld=9999 0 0 nothing\\nheld=x 0 0 none\\nheld=\\nexecutable=9999\\n" % number
        """)
        self.assert_holds(fake, listener, state, {"twice": (0, 0), "uncounted": (0, 0)}.items())
        # a/b, and what the keeper runs is opened again at its path.
        self.assertEqual(self.held_by(keeper), before - 1 + 1)
        self.wait_said("3 lines are not understood (the first: held=")
        self.wait_said(", and 5 descriptors are lost (the first: a/b)\n")
        self.assertEqual(self.said().count("\n"), 1)
        fake.kill()
        fake = self.next_fake().ready()
        self.assert_nothing_else_is_open(fake.hello)


if __name__ == "__main__":
    main()
