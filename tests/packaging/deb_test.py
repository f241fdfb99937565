# SPDX-License-Identifier: Apache-2.0
"""The life of the .deb packages in a Debian that systemd has booted. Run as: deb_test.py SUITE [Class.test]
Exit status 77, with "skipped: why", where no container can be booted."""
import os
import shutil
import sys

from installed import SERVER, PackageStory, found_in, run
from machine import wait_for
from packages import NAMES, built, newer, package, remade_deb, restamped, version
from story import listener_inode

SUITE = sys.argv.pop(1) if len(sys.argv) > 1 else sys.exit(__doc__)
MINUTES = 180

# In the place of a program: for `holdfastd --version` and the like it is a good one.
STARTS_NOT = '#!/bin/sh\ncase "$*" in --version) echo broken;; *) echo "this one does not start" >&2; exit 1;; esac\n'
HANGS = '#!/bin/sh\nexec sleep 1000\n'


def path_of(name, kind="this"):
    return "/packages/%s/%s.deb" % (kind, name)


def prepare(folder):
    made = built(SUITE, "deb")
    for kind in ("this", "newer"):
        os.makedirs("%s/%s" % (folder, kind))
    for name in NAMES["deb"]:
        shutil.copy(package(made, name), "%s/this/%s.deb" % (folder, name))

    def as_newer(tree):
        for program in ("holdfast", "holdfastd", "holdfast-keeper"):
            restamped(tree + "/usr/bin/" + program, newer())
    this = package(made, "holdfast")
    remade_deb(this, folder + "/newer/holdfast.deb", newer(), as_newer)
    for kind, program, text in (("starts-not", "holdfastd", STARTS_NOT), ("hangs", "holdfastd", HANGS), ("no-keeper", "holdfast-keeper", None)):
        os.makedirs("%s/%s" % (folder, kind))

        def broken(tree, program=program, text=text):
            if text is None:
                shutil.copy("/bin/false", tree + "/usr/bin/" + program)
                return
            with open(tree + "/usr/bin/" + program, "w", encoding="utf-8") as file:
                file.write(text)
        remade_deb(this, "%s/%s/holdfast.deb" % (folder, kind), newer(), broken)


class Deb(PackageStory):
    def dpkg(self, machine, *arguments):
        return machine.run("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", *arguments, deadline=MINUTES)

    def install(self, machine, kind="this", names=("holdfast",)):
        answer = self.dpkg(machine, "--install", *(path_of(name, kind) for name in names))
        self.assertEqual(answer.status, 0, answer)
        return answer

    def status(self, machine):
        return machine.run("dpkg-query", "--show", "--showformat=${db:Status-Status} ${Version}", "holdfast").out

    def installed(self, **more):
        """With the package, and the example server under way."""
        machine = self.fresh(**more)
        self.install(machine)
        self.start_example(machine)
        return machine

    # ---- it is installed ----

    def test_installing_enables_and_starts_the_daemon_and_no_unit(self):
        machine = self.fresh()
        self.install(machine, names=NAMES["deb"])
        self.assertEqual((machine.shown("ActiveState"), machine.shown("UnitFileState")), ("active", "enabled"))
        self.assertEqual(sorted(machine.processes().values()), ["holdfast-keeper", "holdfastd"])
        self.assertEqual(machine.done("stat", "--format=%G %a", "/run/holdfast/control.sock").strip(), "holdfast 660")
        self.assertEqual(machine.run("systemctl", "is-enabled", "--global", "holdfast.service", deadline=60).out.strip(), "disabled")
        self.assertEqual(machine.done("systemctl", "--failed", "--no-legend"), "")
        self.assertEqual(machine.done("dpkg", "--verify", *NAMES["deb"]), "")

    def test_the_example_is_copied_applied_and_serves_and_all_examples_are_good(self):
        machine = self.installed()
        self.assert_example_verifies(machine)
        self.assertEqual(machine.done("readlink", "--canonicalize", "/usr/share/doc/holdfast/examples").strip(), "/usr/share/holdfast/examples")

    # ---- it is upgraded ----

    def test_upgrades_and_downgrades_under_load_cost_nobody_and_no_worker(self):
        machine = self.installed()
        load, before = self.load(machine), self.what_runs(machine)
        for kind, expected in (("newer", newer()), ("this", version()), ("newer", newer())):
            self.install(machine, kind)
            self.assertEqual(self.says_version(machine), expected)
            self.assertEqual(self.what_runs(machine), before)
            self.assert_runs_what_is_installed(machine)
        self.assert_nobody_failed(load)
        self.assertEqual((machine.shown("NRestarts"), machine.shown("ActiveState")), ("0", "active"))
        self.assertEqual(machine.shown("NeedDaemonReload"), "no")

    def assert_refused(self, kind, words, mend):
        """A package that does not come up: who serves goes on, dpkg is told, and the previous version installed again makes all well."""
        machine = self.installed()
        load, before, daemon = self.load(machine), self.what_runs(machine), machine.pid_of("holdfastd")
        answer = self.dpkg(machine, "--install", path_of("holdfast", kind))
        self.assertNotEqual(answer.status, 0, answer)
        for word in (words, "dpkg --configure holdfast"):
            self.assertIn(word, answer.out + answer.err)
        self.assertEqual(self.status(machine), "half-configured " + newer())
        self.assertEqual(self.says_version(machine), version())
        self.assertEqual(self.what_runs(machine), before)
        if kind != "no-keeper":
            self.assertNotEqual(machine.pid_of("holdfastd"), daemon, "it had made way, and is started again from its file")
        # It is in charge: it can do what it could.
        self.assertEqual(machine.run("holdfast", "restart", "web", deadline=60).status, 0)
        mend(machine)
        self.assertIn("installed", self.status(machine).split())
        self.assert_runs_what_is_installed(machine)
        self.assert_nobody_failed(load)
        self.assertEqual(machine.shown("NRestarts"), "0")

    def test_a_holdfastd_that_does_not_start_leaves_the_previous_one_in_charge_and_dpkg_fails(self):
        self.assert_refused("starts-not", "has NOT taken over", self.install)

    def test_so_does_one_that_hangs(self):
        self.assert_refused("hangs", "has NOT taken over", self.install)

    def test_so_does_a_keeper_that_does_not_start(self):
        self.assert_refused("no-keeper", "the new holdfast-keeper does not start here", lambda machine: self.install(machine, "newer"))

    def test_what_is_mended_is_configured(self):
        def mend(machine):
            machine.done("dpkg-deb", "--extract", path_of("holdfast", "newer"), "/tmp/newer")
            machine.done("mv", "/tmp/newer/usr/bin/holdfastd", "/usr/bin/holdfastd")
            self.assertEqual(self.dpkg(machine, "--configure", "holdfast").status, 0)
            self.assertEqual(self.says_version(machine), newer())
        self.assert_refused("starts-not", "has NOT taken over", mend)

    def test_an_upgrade_starts_nothing_that_was_stopped_and_enables_nothing_that_was_disabled(self):
        machine = self.installed()
        machine.done("systemctl", "stop", "holdfast")
        self.install(machine, "newer")
        self.assertEqual((machine.shown("ActiveState"), machine.shown("UnitFileState")), ("inactive", "enabled"))
        machine.done("systemctl", "disable", "holdfast")
        self.install(machine)
        self.assertEqual((machine.shown("ActiveState"), machine.shown("UnitFileState")), ("inactive", "disabled"))

    def test_a_daemon_without_keeper_or_elsewhere_is_found_as_it_was_configured(self):
        machine = self.fresh(files={"/etc/systemd/system/holdfast.service.d/own.conf": "[Service]\nExecStart=\n"
                                    "ExecStart=/usr/bin/holdfast-keeper -- /usr/bin/holdfastd --system --runtime-dir /run/elsewhere\n"
                                    "RuntimeDirectory=elsewhere\n"})
        self.install(machine)
        self.install(machine, "newer")
        self.assertIn(newer(), machine.done("holdfast", "--runtime-dir", "/run/elsewhere", "version"))
        machine.write("/etc/systemd/system/holdfast.service.d/own.conf",
                      "[Service]\nExecStart=\nExecStart=/usr/bin/holdfastd --system\nNotifyAccess=all\n")
        machine.done("systemctl", "daemon-reload")
        machine.done("systemctl", "restart", "holdfast")
        daemon = machine.pid_of("holdfastd")
        self.assertIn("from its next restart on", self.install(machine).err)
        self.assertEqual(machine.pid_of("holdfastd"), daemon)

    def test_what_policy_rc_d_forbids_is_not_done(self):
        machine = self.installed()
        machine.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n")
        machine.done("chmod", "755", "/usr/sbin/policy-rc.d")
        daemon = machine.pid_of("holdfastd")
        self.assertIn("policy-rc.d forbids", self.install(machine, "newer").err)
        self.assertEqual(machine.pid_of("holdfastd"), daemon)
        machine.done("/usr/libexec/holdfast/take-over")
        self.assertEqual(self.says_version(machine), newer())

    def test_a_daemon_that_outlived_a_removal_is_upgraded_by_an_installation(self):
        machine = self.installed()
        machine.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n")
        machine.done("chmod", "755", "/usr/sbin/policy-rc.d")
        before, daemon = self.what_runs(machine), machine.pid_of("holdfastd")
        self.assertEqual(self.dpkg(machine, "--remove", "holdfast").status, 0)
        self.assertEqual(machine.pid_of("holdfastd"), daemon)
        machine.done("rm", "/usr/sbin/policy-rc.d")
        self.install(machine, "newer")
        self.assertEqual(self.says_version(machine), newer())
        self.assertEqual(self.what_runs(machine), before)
        self.assert_runs_what_is_installed(machine)

    def test_an_installation_that_was_not_finished_is_forgotten(self):
        machine = self.installed()
        machine.done("systemctl", "stop", "holdfast")
        machine.write("/run/holdfast.installed", "")
        self.install(machine, "newer")
        self.assertEqual(machine.shown("ActiveState"), "inactive")
        machine.write("/run/holdfast.installed", "")
        self.assertEqual(self.dpkg(machine, "--remove", "holdfast").status, 0)
        self.assertFalse(machine.exists("/run/holdfast.installed"))

    def test_a_daemon_that_does_not_start_is_told_and_mended_by_the_next_version(self):
        machine = self.installed()
        machine.done("systemctl", "stop", "holdfast")
        machine.write("/etc/holdfast/holdfast.toml", "nonsense\n")
        machine.run("systemctl", "start", "--no-block", "holdfast")
        wait_for("its failure", lambda: machine.shown("ActiveState") == "failed")
        self.assertIn("does not start", self.install(machine, "newer").err)
        machine.done("rm", "/etc/holdfast/holdfast.toml")
        self.install(machine)
        self.assertEqual(machine.shown("ActiveState"), "active")
        self.assertEqual(self.says_version(machine), version())

    # ---- it is removed ----

    def test_removed_it_stops_and_leaves_units_and_logs_and_installed_again_it_starts(self):
        machine = self.installed()
        machine.write("/var/log/holdfast/web.log", "a line\n")
        machine.write("/etc/holdfast/holdfast.toml", "[daemon]\nlog_level = \"debug\"\n")
        processes = machine.processes()
        self.assertEqual(self.dpkg(machine, "--remove", "holdfast").status, 0)
        self.assertFalse([pid for pid, name in processes.items() if os.path.exists("/proc/%d" % pid)])
        self.assertIsNone(listener_inode(machine))
        self.assertEqual(machine.run("systemctl", "cat", "holdfast").status, 1, "systemd knows it no more")
        for path in ("/etc/holdfast/units/web.toml", "/etc/holdfast/holdfast.toml", "/var/log/holdfast/web.log"):
            self.assertTrue(machine.exists(path), path)
        self.assertFalse(machine.exists("/usr/bin/holdfastd"))
        self.install(machine)
        self.wait_units(machine)
        self.assertEqual(self.release(machine), "1")

    def test_purged_it_leaves_nothing_and_takes_nothing_of_others(self):
        machine = self.fresh()
        machine.write("/srv/units/site.toml", "# somebody's\n")
        before = found_in(machine)
        self.install(machine, names=NAMES["deb"])
        self.start_example(machine)
        machine.write("/var/log/holdfast/web.log", "a line\n")
        machine.write("/etc/holdfast/units/site.toml.d/10.toml", "# ours\n")
        machine.write("/etc/holdfast/holdfast.toml", "[daemon]\nlog_level = \"debug\"\n")
        machine.done("ln", "--symbolic", "/srv/units", "/etc/holdfast/units/linked")
        self.install(machine, "newer")
        answer = self.dpkg(machine, "--purge", *NAMES["deb"])
        self.assertEqual(answer.status, 0, answer)
        self.assertNotRegex(answer.out + answer.err, "directory '[^']*holdfast[^']*' not empty")
        self.assert_found(machine, before)
        self.assertEqual(machine.done("systemctl", "--failed", "--no-legend"), "")

    def test_purged_it_leaves_what_somebody_else_put_beside_the_units(self):
        machine = self.fresh()
        self.install(machine)
        machine.write("/etc/holdfast/notes", "somebody's\n")
        self.assertEqual(self.dpkg(machine, "--purge", "holdfast").status, 0)
        self.assertTrue(machine.exists("/etc/holdfast/notes"))
        self.assertFalse(machine.exists("/etc/holdfast/units"))

    # ---- where systemd does not run ----

    def test_in_a_chroot_nothing_is_started_stopped_or_upgraded_also_where_it_sees_the_hosts_run(self):
        machine = self.installed()
        load, before, daemon = self.load(machine), self.what_runs(machine), machine.pid_of("holdfastd")
        machine.done("sh", "-ec", "mount -t tmpfs room /srv && mkdir /srv/upper /srv/work /srv/room && "
                     "mount -t overlay -o lowerdir=/,upperdir=/srv/upper,workdir=/srv/work room /srv/room && mount -t proc proc /srv/room/proc")
        for run_folder in (False, True):
            if run_folder:
                machine.done("mount", "--bind", "/run", "/srv/room/run")
            answer = machine.run("chroot", "/srv/room", "dpkg", "--install", path_of("holdfast", "newer"), deadline=MINUTES)
            self.assertEqual(answer.status, 0, answer)
            answer = machine.run("chroot", "/srv/room", "dpkg", "--remove", "holdfast", deadline=MINUTES)
            self.assertEqual(answer.status, 0, answer)
            self.assertEqual(machine.pid_of("holdfastd"), daemon)
            self.assertEqual({pid: name for pid, name in machine.processes().items() if name != "holdfastd"}, before[0])
        self.assert_nobody_failed(load)

    def test_no_systemd_at_all_is_no_reason_to_fail(self):
        from installed import story  # the root file system, known by now
        from packages import in_room
        script = """
            find / -xdev \\( -path /proc -o -path /dev -o -path /packages -o -path /var/lib/dpkg -o -path /var/log -o -path /var/cache \\) -prune -o -print | sort >/tmp/before
            dpkg --install /packages/this/*.deb; dpkg --install /packages/newer/*.deb; dpkg --install /packages/this/holdfast.deb
            holdfast verify %s; test -x %s; getent group holdfast
            mkdir -p /run/holdfast; (flock 9; holdfast --version; dpkg --purge holdfast; test -e /run/holdfast/lock) 9>/run/holdfast/lock
            dpkg --install /packages/this/holdfast.deb; dpkg --purge holdfast libholdfast-dev libholdfast0
            find / -xdev \\( -path /proc -o -path /dev -o -path /packages -o -path /var/lib/dpkg -o -path /var/log -o -path /var/cache \\) -prune -o -print | sort >/tmp/after
            diff /tmp/before /tmp/after | grep -v '/tmp/\\|/etc/g\\?shadow-\\|/etc/group-\\|/etc/.pwd.lock' | grep '^[<>]' && exit 1 || exit 0
            """ % ("/usr/share/holdfast/examples/webserver/web.toml", SERVER)
        in_room(story.ROOT_FILES, script, {story.INSTALLED + "/packages": "/packages"})

    # ---- a reboot ----

    def test_it_comes_with_the_machine(self):
        machine = self.installed()
        machine.done("systemctl", "stop", "holdfast")
        machine.done("systemctl", "start", "multi-user.target")
        self.assertTrue(machine.exists("/etc/systemd/system/multi-user.target.wants/holdfast.service"))
        machine.done("systemctl", "start", "holdfast")
        wait_for("the example", lambda: listener_inode(machine) is not None)


if __name__ == "__main__":
    run(prepare, SUITE)
