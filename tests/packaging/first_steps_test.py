# SPDX-License-Identifier: Apache-2.0
"""examples/first-steps.md, typed as it stands in a machine that has the package in a folder and nothing else; with clients meanwhile.
Run as: first_steps_test.py SUITE. Exit status 77, with "skipped: why", where no container can be booted."""
import os
import re
import shutil
import sys

from installed import PackageStory, run
from packages import ROOT, built, package

SUITE = sys.argv.pop(1) if len(sys.argv) > 1 else sys.exit(__doc__)


def commands():
    with open(os.path.join(ROOT, "examples", "first-steps.md"), encoding="utf-8") as file:
        return re.findall(r"^ {7}(\S.*)$", file.read(), re.MULTILINE)


def prepare(folder):
    os.makedirs(folder)
    shutil.copy(package(built(SUITE, "deb"), "holdfast"), folder)


class FirstSteps(PackageStory):
    def test_they_lead_to_a_server_that_is_replaced_under_use_and_nobody_notices(self):
        self.assertIn(len(commands()), range(5, 10))
        machine, load, answers = self.fresh(), None, []
        for command in commands():
            answer = machine.run("sh", "-c", "cd /packages && " + command, deadline=120)
            self.assertEqual(answer.status, 0, answer)
            if command.startswith("curl"):
                answers.append(answer.out)
                load = load or self.load(machine)
        self.assertEqual([re.search(r"release=(\d)", text).group(1) for text in answers], ["1", "2"])
        self.assertIn("listen overflows", answer.out)  # the last is the report
        self.assert_nobody_failed(load)


if __name__ == "__main__":
    run(prepare, SUITE, more=["curl"])
