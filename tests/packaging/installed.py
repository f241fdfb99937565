# SPDX-License-Identifier: Apache-2.0
"""What the tests of packages have in common: machines that have them at hand and not installed, and what is to be found in a machine."""
import contextlib
import os
import re
import shutil
import sys
import tempfile
import unittest

from packages import HERE, ROOT  # noqa: F401 (its path to tests/systemd is wanted here)

import story
from machine import PACKAGES, root_file_system, why_not
from story import Story, listener_inode

SERVER = "/usr/libexec/holdfast/holdfast-webserver"
EXAMPLE = "/usr/share/holdfast/examples/webserver/web.toml"
HELD = "/usr/bin/holdfast-keeper", "/usr/bin/holdfastd"

# What installing anything whatever leaves behind, or merely using the machine.
NOT_OURS = re.compile(r"/(proc|sys|dev|tmp|opt|packages|root)(/|$)|/run/(?!holdfast)|/var/(cache|log/(journal|apt|dpkg|alternatives|wtmp|lastlog)|tmp"
                      r"|lib/(apt|dpkg/(status|available|lock|triggers|updates)|rpm|systemd/(?!deb-)))|/etc/(\.?(group|gshadow|passwd)|ld\.so\.cache|subuid|subgid"
                      r"|mtab|machine-id|resolv\.conf)|/usr/lib/sysimage/rpm|/etc/\.(updated|pwd\.lock)|/var/\.updated|/usr/share/info/dir")


def found_in(machine):
    """What a purge has to bring back: {what: set of lines}."""
    def lines(*command):
        return set(machine.done(*command).splitlines())
    files = {line for line in lines("find", "/", "-xdev", "-printf", "%p %y %m %u:%g\\n") | lines("find", "/run", "-xdev", "-printf", "%p %y %m %u:%g\\n")
             if not NOT_OURS.match(line.split()[0])}
    return {"files": files, "users": lines("getent", "passwd"), "groups": lines("getent", "group"),
            "unit files": lines("systemctl", "list-unit-files", "--no-legend", "--plain"),
            "units": {line.split()[0] for line in lines("systemctl", "list-units", "--all", "--no-legend", "--plain", "--type=service,socket,target")
                      if not re.search(r"apt|dpkg|systemd-|e2scrub|modprobe|initrd", line)}}


class PackageStory(Story):
    def fresh(self, **more):
        """Booted, and nothing of holdfast in it."""
        machine = self.machine(start=False, **more)
        self.assertFalse(machine.exists("/usr/bin/holdfast"))
        return machine

    def assert_found(self, machine, before):
        now = found_in(machine)
        for what, lines in before.items():
            self.assertEqual((sorted(now[what] - lines), sorted(lines - now[what])), ([], []), what)

    def start_example(self, machine):
        """As a user would: the unit is copied, and applied."""
        machine.done("cp", EXAMPLE, "/etc/holdfast/units/web.toml")
        machine.done("holdfast", "apply", deadline=60)
        self.wait_units(machine)
        self.assertEqual(self.release(machine), "1")

    def what_runs(self, machine):
        """What an upgrade leaves as it is: the processes but for holdfastd, and the listener."""
        processes = {pid: name for pid, name in machine.processes().items() if name != "holdfastd"}
        self.assertEqual(sorted(processes.values()), ["holdfast-keeper", "holdfast-webserver"])
        return processes, self.workers(machine), listener_inode(machine)

    def says_version(self, machine):
        """Of the daemon that answers."""
        return re.search(r"holdfastd (\S+)", machine.done("holdfast", "version")).group(1)

    def assert_runs_what_is_installed(self, machine):
        for program in ("holdfast-keeper", "holdfastd"):
            running, installed = (os.stat(path) for path in ("/proc/%d/exe" % machine.pid_of(program), machine.path("/usr/bin/" + program)))
            self.assertEqual((running.st_dev, running.st_ino), (installed.st_dev, installed.st_ino), program)

    def assert_example_verifies(self, machine):
        units = machine.done("find", "/usr/share/holdfast/examples", "-name", "*.toml").split()
        self.assertGreaterEqual(len(units), 5)
        for unit in units:
            answer = machine.run("holdfast", "verify", unit)
            self.assertEqual(answer.status, 0, answer)


def run(packages, suite, more=()):
    """packages(): {name of a folder below /packages in each machine: folder}."""
    why = why_not()
    if not why:
        story.ROOT_FILES, why = root_file_system(suite, [*PACKAGES, *more])
    if why:
        print("skipped: " + why)
        sys.exit(77)
    with contextlib.ExitStack() as cleanup:
        story.INSTALLED = tempfile.mkdtemp(prefix="hf-packages-")
        os.chmod(story.INSTALLED, 0o755)
        cleanup.callback(shutil.rmtree, story.INSTALLED, ignore_errors=True)
        os.makedirs(story.INSTALLED + "/opt")
        shutil.copy(os.path.join(ROOT, "tests", "systemd", "client.py"), story.INSTALLED + "/opt")
        packages(story.INSTALLED + "/packages")
        unittest.main(verbosity=2)
