# SPDX-License-Identifier: Apache-2.0
"""The life of the .rpm packages, with their scriptlets: under a systemd that has booted, and in a root where none runs.
Run as: rpm_test.py [Class.test]; exit status 77, with "skipped: why", where no container can be booted or no package made."""
import glob
import os
import shutil
import subprocess
import sys
import tempfile

from packages import NAMES, built, in_room, newer, package, remade_rpm, restamped, version  # first: its path to tests/systemd is wanted

import story
from installed import PackageStory, found_in, run
from story import listener_inode

SUITE = "bookworm"
MINUTES = 180
# Folders that other packages own where rpm is at home.
FOLDERS = "/usr/lib64/cmake", "/usr/lib64/pkgconfig", "/usr/share/licenses"
STARTS_NOT = '#!/bin/sh\necho "this one does not start" >&2\nexit 1\n'


def stub(folder, root):
    """A package that provides what the root of Debian has: rpm knows of no other."""
    with tempfile.TemporaryDirectory(prefix="hf-stub-") as work:
        libraries = "\n".join([*glob.glob(root + "/usr/lib/*/lib*.so.*"), *glob.glob(root + "/usr/lib/*/ld-linux*.so.*")])
        provided = subprocess.run(["/usr/lib/rpm/find-provides"], input=libraries, stdout=subprocess.PIPE, text=True, check=True).stdout
        with open(work + "/stub.spec", "w", encoding="utf-8") as file:
            file.write("Name: hostlibs\nVersion: 1\nRelease: 1\nSummary: Stub\nLicense: MIT\nBuildArch: noarch\nAutoReqProv: no\n")
            for name in ["/bin/sh", "/sbin/ldconfig", "rtld(GNU_HASH)", "/usr/bin/pkg-config", *sorted(set(provided.split("\n")) - {""})]:
                file.write("Provides: %s\n" % name)
            file.write("%description\nstub\n%files\n")
        subprocess.run(["rpmbuild", "-bb", "--quiet", "--define", "_topdir " + work, work + "/stub.spec"], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        shutil.copy(glob.glob(work + "/RPMS/*/*.rpm")[0], folder + "/stub.rpm")


def prepare(folder):
    made = built(SUITE, "rpm")
    os.makedirs(folder + "/this")
    for name in NAMES["rpm"]:
        shutil.copy(package(made, name), "%s/this/" % folder)

    def as_newer(tree):
        for program in ("holdfast", "holdfastd", "holdfast-keeper"):
            restamped(tree + "/usr/bin/" + program, newer())

    def broken(tree):
        with open(tree + "/usr/bin/holdfastd", "w", encoding="utf-8") as file:
            file.write(STARTS_NOT)
    remade_rpm(made, folder + "/newer", newer(), as_newer)
    remade_rpm(made, folder + "/starts-not", newer(), broken)
    stub(folder, story.ROOT_FILES)


class Rpm(PackageStory):
    def rpm(self, machine, *arguments):
        return machine.run("rpm", *arguments, deadline=MINUTES)

    def install(self, machine, kind="this", names=("holdfast",)):
        answer = self.rpm(machine, "--upgrade", "--oldpackage", *(package(machine.path("/packages/" + kind), name).split("/root", 1)[1] for name in names))
        self.assertEqual(answer.status, 0, answer)
        return answer

    def fresh(self, **more):
        machine = super().fresh(**more)
        machine.done("mkdir", "--parents", *FOLDERS)
        self.assertEqual(self.rpm(machine, "--install", "/packages/stub.rpm").status, 0)
        return machine

    def installed(self):
        machine = self.fresh()
        self.install(machine)
        machine.done("systemctl", "start", "holdfast")
        self.start_example(machine)
        return machine

    def test_installing_enables_what_the_preset_says_and_starts_nothing(self):
        machine = self.fresh()
        answer = self.install(machine, names=NAMES["rpm"])
        self.assertNotIn("scriptlet failed", answer.err)
        self.assertEqual((machine.shown("ActiveState"), machine.shown("UnitFileState")), ("inactive", "enabled"))
        self.assertIn("holdfast", machine.done("getent", "group", "holdfast"))
        self.assertEqual(self.rpm(machine, "--verify", *NAMES["rpm"]).out, "")
        machine.done("systemctl", "start", "holdfast")
        self.assertEqual(sorted(machine.processes().values()), ["holdfast-keeper", "holdfastd"])
        self.assert_example_verifies(machine)

    def test_a_preset_of_the_distribution_that_disables_it_is_heeded(self):
        machine = self.fresh(files={"/etc/systemd/system-preset/00-none.preset": "disable *\n"})
        self.install(machine)
        self.assertEqual(machine.shown("UnitFileState"), "disabled")

    def test_upgrades_and_downgrades_under_load_cost_nobody_and_no_worker(self):
        machine = self.installed()
        load, before = self.load(machine), self.what_runs(machine)
        for kind, expected in (("newer", newer()), ("this", version()), ("newer", newer())):
            self.assertNotIn("scriptlet failed", self.install(machine, kind).err)
            self.assertEqual(self.says_version(machine), expected)
            self.assertEqual(self.what_runs(machine), before)
            self.assert_runs_what_is_installed(machine)
        self.assert_nobody_failed(load)
        self.assertEqual((machine.shown("NRestarts"), machine.shown("ActiveState"), machine.shown("UnitFileState")), ("0", "active", "enabled"))
        self.assertEqual(machine.shown("NeedDaemonReload"), "no")

    def test_a_holdfastd_that_does_not_start_leaves_the_previous_one_in_charge_and_rpm_says_so(self):
        machine = self.installed()
        load, before = self.load(machine), self.what_runs(machine)
        path = package(machine.path("/packages/starts-not"), "holdfast").split("/root", 1)[1]
        answer = self.rpm(machine, "--upgrade", path)
        for words in ("has NOT taken over", "scriptlet failed", "/usr/libexec/holdfast/take-over"):
            self.assertIn(words, answer.out + answer.err)
        self.assertEqual(self.says_version(machine), version())
        self.assertEqual(self.what_runs(machine), before)
        self.assertEqual(machine.run("holdfast", "restart", "web", deadline=60).status, 0)
        self.install(machine)
        self.assert_runs_what_is_installed(machine)
        self.assert_nobody_failed(load)

    def test_an_upgrade_starts_nothing_that_was_stopped(self):
        machine = self.installed()
        machine.done("systemctl", "disable", "--now", "holdfast")
        self.install(machine, "newer")
        self.assertEqual((machine.shown("ActiveState"), machine.shown("UnitFileState")), ("inactive", "disabled"))

    def test_erased_it_stops_and_leaves_units_and_logs_alone(self):
        machine = self.fresh()
        before = found_in(machine)
        self.install(machine, names=NAMES["rpm"])
        machine.done("systemctl", "start", "holdfast")
        self.start_example(machine)
        machine.write("/var/log/holdfast/web.log", "a line\n")
        processes = machine.processes()
        answer = self.rpm(machine, "--erase", *NAMES["rpm"])
        self.assertEqual((answer.status, "scriptlet failed" in answer.err), (0, False), answer)
        self.assertFalse([pid for pid in processes if os.path.exists("/proc/%d" % pid)])
        self.assertIsNone(listener_inode(machine))
        self.assertEqual(machine.done("systemctl", "--failed", "--no-legend"), "")
        for path in ("/etc/holdfast/units/web.toml", "/var/log/holdfast/web.log"):
            self.assertTrue(machine.exists(path), path)
        # rpm has no purge: what it leaves is this and no more.
        machine.done("rm", "-rf", "/etc/holdfast", "/var/log/holdfast", "/run/holdfast")
        machine.done("groupdel", "holdfast")
        self.assert_found(machine, before)

    def test_in_a_root_where_no_systemd_runs_files_are_put_in_place_and_taken_away(self):
        files = "find /usr /etc -xdev -path '/etc/*group*' -prune -o -path /etc/.pwd.lock -prune -o -print | sort"
        script = """
            rpm --install /packages/stub.rpm
            mkdir --parents %s
            %s >/tmp/before
            rpm --install --verbose /packages/this/*.rpm >/tmp/words 2>&1
            rpm --upgrade /packages/newer/holdfast-[0-9]*.rpm /packages/newer/libholdfast*.rpm >>/tmp/words 2>&1
            rpm --verify holdfast libholdfast0 libholdfast-devel
            getent group holdfast; holdfast --version | grep -F %s; holdfast verify /usr/share/holdfast/examples/webserver/web.toml
            test -L /etc/systemd/system/multi-user.target.wants/holdfast.service
            for name in toml++ spdlog fmt JSON CLI11; do grep -riqF $name /usr/share/licenses/holdfast; done
            rpm --erase holdfast libholdfast0 libholdfast-devel >>/tmp/words 2>&1
            not grep "scriptlet failed" /tmp/words
            %s >/tmp/after
            diff /tmp/before /tmp/after
            """ % (" ".join(FOLDERS), files, newer(), files)
        in_room(story.ROOT_FILES, script, {story.INSTALLED + "/packages": "/packages"})


if __name__ == "__main__":
    missing = [tool for tool in ("rpmbuild", "rpm2cpio", "cpio") if shutil.which(tool) is None]
    if missing:
        print("skipped: %s is not installed (tests/install-dependencies.sh packaging)" % ", ".join(missing))
        sys.exit(77)
    run(prepare, SUITE, more=["rpm"])
