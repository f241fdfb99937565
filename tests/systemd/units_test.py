# SPDX-License-Identifier: Apache-2.0
"""The units for systemd, as configured. Run as: units_test.py BUILD_FOLDER
Exit status 77, with "skipped: why", where there is no systemd-analyze."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

BUILD = os.path.abspath(sys.argv[1])
MAN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "man")


def text_of(manager):
    with open(os.path.join(BUILD, "units", manager, "holdfast.service"), encoding="utf-8") as file:
        return file.read()


class Units(unittest.TestCase):
    def verified(self, manager, text):
        """What systemd-analyze says of it, with programs at its paths."""
        with tempfile.TemporaryDirectory(prefix="hf-units-") as folder:
            for path in set(re.findall(r"/\S+/holdfast\w*(?:-\w+)?(?=\s)", "\n".join(re.findall(r"^Exec\w+=.*$", text + "\n", re.M)) + "\n")):
                program = os.path.join(folder, os.path.basename(path))
                with open(program, "w", encoding="utf-8") as file:
                    file.write("#!/bin/sh\n")
                os.chmod(program, 0o755)
                text = re.sub(re.escape(path) + r"(?=\s)", program, text)
            unit = os.path.join(folder, "holdfast.service")
            with open(unit, "w", encoding="utf-8") as file:
                file.write(text)
            done = subprocess.run(["systemd-analyze", "--" + manager, "--man=no", "verify", unit], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True, timeout=60, check=False, env={**os.environ, "XDG_RUNTIME_DIR": folder})
            # Units of the machine are read too, and are not ours to judge.
            return done.returncode, [line for line in done.stdout.splitlines() if "holdfast" in line]

    def test_systemd_finds_nothing_to_complain_of(self):
        for manager in ("system", "user"):
            self.assertEqual(self.verified(manager, text_of(manager)), (0, []), manager)

    def test_systemd_would_find_a_mistake(self):
        for manager in ("system", "user"):
            text = text_of(manager)
            for bad in (text.replace("KillMode=", "KilMode="), text.replace("Type=notify", "Type=notfy"),
                        text.replace("ExecStart=", "ExecStart=/nowhere/program ")):
                self.assertNotEqual(bad, text)
                self.assertNotEqual(self.verified(manager, bad), (0, []), manager)

    def test_every_sandbox_that_systemd_would_have_is_said_to_be_left_out(self):
        """`systemd-analyze security` must know nothing that the file has no reason for."""
        done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--json=short", os.path.join(BUILD, "units", "system", "holdfast.service")],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        if not done.stdout.startswith("["):
            self.skipTest("systemd-analyze here does not know --json")
        text = text_of("system")
        open_ones = {name for row in json.loads(done.stdout) if not row["set"] and row.get("exposure") for name in re.findall(r"(\w+)=", row["name"])}
        self.assertGreater(len(open_ones), 20)
        self.assertEqual({name for name in open_ones if not re.search(r"\b%s\b" % name, text)} - {"RootImage", "DynamicUser"}, set())

    def test_the_manual_pages_that_are_named_exist(self):
        for manager in ("system", "user"):
            named = re.findall(r"man:(\S+)\((\d)\)", text_of(manager))
            self.assertTrue(named)
            for name, section in named:
                page = os.path.join(MAN, "%s.%s" % (name, section))
                self.assertTrue(os.path.exists(page) or os.path.exists(page + ".in"), name)

    def test_a_user_has_what_the_machine_has_but_for_what_a_user_may_not(self):
        def keys(manager):
            return set(re.findall(r"^(\w+)=", text_of(manager), re.M))
        self.assertEqual(keys("system") - keys("user"), {"After", "LimitNOFILE", "RuntimeDirectory", "RuntimeDirectoryPreserve",
                                                         "LogsDirectory", "LogsDirectoryMode"})
        self.assertEqual(keys("user") - keys("system"), set())


if __name__ == "__main__":
    if shutil.which("systemd-analyze") is None:
        print("skipped: systemd-analyze is not installed")
        sys.exit(77)
    unittest.main(argv=sys.argv[:1], verbosity=2)
