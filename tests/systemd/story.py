# SPDX-License-Identifier: Apache-2.0
"""What the tests under systemd have in common: a machine each, units for it, load from within, and what the kernel says of it."""
import contextlib
import json
import os
import re
import shutil
import sys
import tempfile
import unittest

from machine import Machine, install, root_file_system, wait_for, why_not
from workload import PORT, Load

BUILD = ROOT_FILES = INSTALLED = None
UNITS = "/etc/holdfast/units/"


class Story(unittest.TestCase):
    def setUp(self):
        self.machines, self.loads = [], []

    def tearDown(self):
        failed = any(test is self for test, _ in self._outcome.result.failures + self._outcome.result.errors)
        for load in self.loads:
            load.kill()
        for machine in self.machines:
            if failed and machine.process.poll() is None:
                print(machine.run("journalctl", "--no-pager", "--lines=60", "--output=short-precise").out, file=sys.stderr)
            machine.destroy()

    def machine(self, units=None, start=True, files=None, **more):
        """Booted, with these unit files; `start`: holdfast.service too, and all units are active."""
        files = {**{UNITS + name + ".toml": text for name, text in (units or {}).items()}, **(files or {})}
        self.machines.append(Machine(ROOT_FILES, INSTALLED, files, **more))
        if start:
            self.machines[-1].done("systemctl", "start", "holdfast")
            self.wait_units(self.machines[-1])
        return self.machines[-1]

    def load(self, machine, target=PORT):
        self.loads.append(Load(machine, target))
        return self.loads[-1]

    def wait_units(self, machine, *options):
        def are_active():
            answer = machine.run("holdfast", *options, "list", "--json")
            return answer.status == 0 and {unit["state"] for unit in json.loads(answer.out)["units"]} <= {"active"}
        wait_for("all units to be active", are_active)

    def workers(self, machine, unit="web"):
        """Pids as the machine counts them."""
        return [worker["pid"] for worker in json.loads(machine.done("holdfast", "status", unit, "--json"))["units"][0]["workers"]]

    def release(self, machine):
        """Of the one who answers."""
        bodies = json.loads(machine.done("python3", "/opt/client.py", str(PORT), "--once"))["bodies"]
        return re.search(r"release=(\S+)", "".join(bodies)).group(1)

    def assert_nobody_failed(self, load, least=20):
        done = load.finish()
        self.assertEqual(done["failed"], 0, done)
        self.assertGreater(done["ok"], least)
        return done


# ---- what the kernel says ----

def status_fields(pid):
    """Of /proc/PID/status; and the namespaces of mounts and network."""
    with open("/proc/%d/status" % pid, encoding="utf-8") as file:
        fields = {name: value.strip() for name, _, value in (line.partition(":") for line in file)}
    return {**fields, **{space: os.readlink("/proc/%d/ns/%s" % (pid, space)) for space in ("mnt", "net")}}


def open_files(pid):
    with open("/proc/%d/limits" % pid, encoding="utf-8") as file:
        words = next(line for line in file if line.startswith("Max open files")).split()
    return int(words[3]), int(words[4])


def listener_inode(machine, port=PORT):
    """Of the TCP listener on that port; None without one."""
    return next(iter(listener_inodes(machine, port)), None)


def listener_inodes(machine, port=PORT):
    inodes = []
    for version in ("tcp", "tcp6"):
        with open("/proc/%d/net/%s" % (machine.leader, version), encoding="utf-8") as file:
            for line in file.readlines()[1:]:
                words = line.split()
                if words[3] == "0A" and int(words[1].rpartition(":")[2], 16) == port:
                    inodes.append(words[9])
    return sorted(inodes)


def drop_in(*lines):
    return {"/etc/systemd/system/holdfast.service.d/test.conf": "[Service]\n" + "\n".join(lines) + "\n"}


def installed_unit():
    """Its path in the machine."""
    for folder, _, names in os.walk(INSTALLED):
        if "holdfast.service" in names and folder.endswith("/system"):
            return folder[len(INSTALLED):] + "/holdfast.service"
    raise AssertionError("holdfast.service was not installed")


def installed_exec_start():
    with open(INSTALLED + installed_unit(), encoding="utf-8") as file:
        return re.search(r"^ExecStart=(.*)$", file.read(), re.M).group(1)


def main():
    global BUILD, ROOT_FILES, INSTALLED
    if len(sys.argv) < 2 or not os.path.isdir(sys.argv[1]):
        sys.exit("usage: %s BUILD_FOLDER [Class.test]" % sys.argv[0])
    BUILD = os.path.abspath(sys.argv.pop(1))
    why = why_not()
    if not why:
        ROOT_FILES, why = root_file_system()
    if why:
        print("skipped: " + why)
        sys.exit(77)
    with contextlib.ExitStack() as cleanup:
        INSTALLED = tempfile.mkdtemp(prefix="hf-installed-")
        os.chmod(INSTALLED, 0o755)
        cleanup.callback(shutil.rmtree, INSTALLED, ignore_errors=True)
        install(BUILD, INSTALLED, ROOT_FILES)
        unittest.main(verbosity=2)
