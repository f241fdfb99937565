# SPDX-License-Identifier: Apache-2.0
"""What a worker leaves behind is ended with its generation: by its cgroup where there is one, else as far as it comes to us as an orphan."""
import os
import random
import signal
import subprocess

from harness import FACTOR, HERE, NOBODY, PYTHON, Story, children_of, command_of, http_get, main, program, state_of, unit_text, tcp, wait_for, web

CGROUPS = next((path for path in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup") if os.path.exists(path + "/cgroup.procs")), None)
HIDDEN = ["unshare", "--mount", "--propagation", "private", "sh", "-c", 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"', "sh"]


def cgroup_of(pid):
    """Its path in version 2; None where it is gone."""
    try:
        with open("/proc/%d/cgroup" % pid, encoding="utf-8") as file:
            return next((line[3:].rstrip("\n") for line in file if line.startswith("0::")), None)
    except (FileNotFoundError, ProcessLookupError):
        return None


def processes(word):
    """Those whose command has it, and that live."""
    return {int(pid) for pid in os.listdir("/proc") if pid.isdigit() and word in command_of(int(pid)) + " "
            and state_of(int(pid)) not in (None, "Z") and "/bin/sh -c" not in command_of(int(pid))}


class Leftovers(Story):
    def setUp(self):
        super().setUp()
        self.mark = str(random.randrange(100000, 1 << 30))

    def leaving(self, what, release="1", **service):
        """A web server that first starts `what` (shell) and does not wait for it."""
        return unit_text([tcp()], {"type": "notify", "timeout_start": "%ds" % (20 * FACTOR),
                                   "exec_start": ["/bin/sh", "-c", what + '\nexec "$@"', "sh", program("holdfast-webserver"), "--release", release],
                                   **service})

    def other_session(self, before=""):
        """A double-forked child in a session of its own."""
        return "(%s setsid sleep %s &)" % (before, self.mark)

    def left(self):
        """Processes that carry our mark and live."""
        return processes(" %s " % self.mark)

    def wait_left(self, count):
        return wait_for("%d left behind" % count, lambda: len(now := self.left()) == count and now or count == 0 and not now)


class Everywhere:
    """The same stories, with cgroups and without."""

    def test_what_a_worker_leaves_behind_ends_with_its_generation_and_not_before_the_next_one_serves(self):
        daemon = self.start({"web": self.leaving(self.other_session())})
        first, = self.wait_left(1)
        daemon.write("web", self.leaving("read wait < %s/gate" % self.folder, "2"))
        os.mkfifo(self.folder + "/gate")
        apply = daemon.popen("apply")
        wait_for("the next worker", lambda: len(daemon.workers("web")) == 2)
        self.assertEqual(self.left(), {first})
        with open(self.folder + "/gate", "w", encoding="utf-8"):
            pass
        self.assertEqual(apply.wait(), 0, apply.communicate())
        self.wait_left(0)
        self.assertEqual(http_get(daemon.port("web"))[0], 200)

    def test_a_crash_of_the_only_worker_ends_what_it_left_behind(self):
        daemon = self.start({"web": self.leaving(self.other_session())})
        first, = self.wait_left(1)
        os.kill(daemon.pid_of("web"), signal.SIGKILL)
        wait_for("the end of the first", lambda: first not in self.left())
        daemon.wait_whole("web")
        self.wait_left(1)

    def test_a_crash_of_one_of_several_leaves_what_the_others_use(self):
        daemon = self.start({"web": self.leaving(self.other_session(), workers=2)})
        before = self.wait_left(2)
        os.kill(daemon.workers("web")[0]["pid"], signal.SIGKILL)
        self.wait_left(3)
        self.assertTrue(before <= self.left())
        daemon.run("stop", "web")
        self.wait_left(0)

    def test_a_worker_that_ends_by_itself_leaves_nothing_behind(self):
        daemon = self.start({"web": self.leaving(self.other_session() + "\nsleep 0.1; exit 0", type="exec", restart="no", timeout_start="1s")},
                            active=False)
        daemon.run("start", "web")
        daemon.wait_state("web", "inactive")
        self.wait_left(0)

    def test_what_a_worker_that_had_to_be_killed_leaves_behind_is_killed_too(self):
        daemon = self.start({"deaf": unit_text((), {"type": "exec", "timeout_stop": "200ms", "exec_start": [
            "/bin/sh", "-c", 'trap "" TERM; %s; while :; do read line < %s/never; done' % (self.other_session(), self.folder)]})})
        self.wait_left(1)
        daemon.run("stop", "deaf")
        self.wait_left(0)

    def test_a_stop_of_the_daemon_leaves_nothing_behind(self):
        daemon = self.start({"web": self.leaving(self.other_session()), "more": web()})
        self.wait_left(1)
        self.assertEqual(daemon.end(), 0)
        self.assertEqual(self.left(), set())

    def test_children_of_children_end_as_well(self):
        nest = "(setsid sh -c 'sleep %s & (setsid sleep %s &) ; wait' %s &)" % (self.mark, self.mark, self.mark)
        daemon = self.start({"web": self.leaving(nest)})
        self.wait_left(3)
        daemon.run("stop", "web")
        self.wait_left(0)

    def test_after_a_kill_9_of_holdfastd_the_next_one_finds_what_is_left(self):
        daemon = self.start({"web": self.leaving(self.other_session())})
        first = self.wait_left(1)
        pid = daemon.pid_of("web")
        self.kill(daemon)
        wait_for("the next holdfastd", lambda: os.path.exists(daemon.control_path) and self.supervisor(daemon))
        self.assertEqual(daemon.pid_of("web"), pid)
        self.assertEqual(self.left(), first)
        daemon.run("stop", "web")
        self.wait_left(0)

    def test_who_died_while_there_was_no_holdfastd_leaves_nothing_behind_either(self):
        daemon = self.start({"web": self.leaving(self.other_session())})
        self.wait_left(1)
        pid = daemon.pid_of("web")
        victim = self.supervisor(daemon)
        os.kill(daemon.pid, signal.SIGSTOP)  # so that nobody is started meanwhile
        first = self.left()
        os.kill(victim, signal.SIGKILL)
        wait_for("its end", lambda: state_of(victim) in (None, "Z"))
        os.kill(pid, signal.SIGKILL)
        wait_for("its end", lambda: state_of(pid) in (None, "Z"))
        os.kill(daemon.pid, signal.SIGCONT)
        wait_for("the end of what it left", lambda: not first & self.left())
        daemon.wait_whole("web")
        self.wait_left(1)

    def test_a_fork_bomb_is_ended(self):
        bomb = "(setsid %s -I -S %s/bomb.py %s &)" % (PYTHON, HERE, self.mark)
        daemon = self.start({"web": self.leaving(bomb)})
        wait_for("many", lambda: len(self.left()) > 20)
        daemon.run("stop", "web")
        self.wait_left(0)


class WithCgroups(Everywhere, Leftovers):
    def setUp(self):
        super().setUp()
        self.cgroup = None
        self.needs_root("only root can make a cgroup to be in")
        if CGROUPS is None or not os.access(CGROUPS, os.W_OK):
            self.skip("there is no cgroup of version 2 that could be written to")
        self.cgroup = os.path.join(CGROUPS, "holdfast-test-%d-%s" % (os.getpid(), self.mark))
        try:
            os.mkdir(self.cgroup)
        except OSError as error:
            self.skip("no cgroup can be made: %s" % error)
        if os.path.isdir("/run/systemd/system"):
            os.setxattr(self.cgroup, "user.delegate", b"1")

    def tearDown(self):
        super().tearDown()
        if self.cgroup:
            left = [path for path, _, _ in os.walk(self.cgroup, topdown=False)]
            for path in left:
                wait_for("%s to be empty" % path, lambda p=path: self.remove(p))
            self.assertEqual(left, [self.cgroup])

    @staticmethod
    def remove(path):
        try:
            os.rmdir(path)
        except OSError:
            return False
        return True

    def wrapper(self, *more):
        return ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', self.cgroup, *more, program("holdfast-keeper"), "--"]

    def start(self, units, wrapper=(), **more):
        return self.daemon(units, wrapper=self.wrapper(*wrapper), **more)

    def sleeper_in(self, name):
        """A process of somebody else, in a cgroup of that name."""
        os.makedirs(os.path.join(self.cgroup, name), exist_ok=True)
        sleeper = subprocess.Popen(["sh", "-c", 'echo 0 > "$0/cgroup.procs"; exec sleep "$1"', os.path.join(self.cgroup, name), self.mark])
        wait_for("it to sleep", lambda: sleeper.pid in self.left())
        return sleeper

    def folders(self):
        return {name for name in os.listdir(self.cgroup) if os.path.isdir(os.path.join(self.cgroup, name))}

    def own(self, path=""):
        return self.cgroup[len(CGROUPS):] + path

    def test_a_generation_has_a_cgroup_and_the_supervisor_a_leaf(self):
        daemon = self.start({"web": web(workers=2), "a.b": web()})
        self.assertEqual({cgroup_of(w["pid"]) for w in daemon.workers("web")}, {self.own("/web.g1")})
        self.assertEqual(cgroup_of(daemon.pid_of("a.b")), self.own("/a\\x2eb.g1"))
        self.assertEqual({cgroup_of(daemon.pid), cgroup_of(self.supervisor(daemon))}, {self.own("/supervisor")})
        with open(self.cgroup + "/cgroup.procs", encoding="utf-8") as file:
            self.assertEqual(file.read(), "")
        self.assertEqual({w["cgroup"] for w in daemon.workers("web")}, {self.own("/web.g1")})
        self.assertIn(self.own("/web.g1"), daemon.run("status", "web").out)
        self.assertEqual(daemon.run("restart", "web").status, 0)
        wait_for("the first to go", lambda: self.folders() == {"supervisor", "web.g2", "a\\x2eb.g1"})
        daemon.run("stop", "web")
        wait_for("the second to go", lambda: self.folders() == {"supervisor", "a\\x2eb.g1"})

    def test_who_has_thrown_its_environment_away_is_found_all_the_same(self):
        daemon = self.start({"web": self.leaving(self.other_session("env -i"))})
        self.wait_left(1)
        daemon.run("stop", "web")
        self.wait_left(0)
        wait_for("its cgroup to go", lambda: self.folders() == {"supervisor"})

    def test_cgroups_that_a_worker_made_go_with_it(self):
        more = 'mkdir -p "%s/web.g1/a/b"; echo 0 > "%s/web.g1/a/b/cgroup.procs"' % (self.cgroup, self.cgroup)
        daemon = self.start({"web": self.leaving(self.other_session(more + ";"))})
        self.assertEqual(cgroup_of(*self.wait_left(1)), self.own("/web.g1/a/b"))
        daemon.run("stop", "web")
        self.wait_left(0)
        wait_for("its cgroup to go", lambda: self.folders() == {"supervisor"})

    def test_commands_of_a_worker_are_in_its_cgroup(self):
        out = self.folder + "/said"
        daemon = self.start({"web": self.leaving("", exec_reload=["/bin/sh", "-c", "cat /proc/self/cgroup > %s" % out])})
        self.assertEqual(daemon.run("reload", "web").status, 0)
        with open(out, encoding="utf-8") as file:
            self.assertIn(self.own("/web.g1") + "\n", file.read())

    def test_kill_9_at_any_time_loses_no_cgroup(self):
        daemon = self.start({"web": self.leaving(self.other_session(), workers=3)})
        for _ in range(6):
            restart = daemon.popen("restart", "--no-wait", "web")
            self.kill(daemon)
            restart.communicate()
            wait_for("the next holdfastd", lambda: daemon.run("status", "web").status == 0)
        daemon.wait_whole("web")
        wait_for("one generation", lambda: len({w["generation"] for w in daemon.workers("web")}) == 1)
        generation = daemon.workers("web")[0]["generation"]
        wait_for("one cgroup", lambda: self.folders() == {"supervisor", "web.g%d" % generation})
        self.wait_left(3)
        self.assertEqual({cgroup_of(w["pid"]) for w in daemon.workers("web")}, {self.own("/web.g%d" % generation)})

    def test_folders_of_generations_that_are_not_there_any_more_are_removed(self):
        sleeper = self.sleeper_in("gone.g7")
        os.setxattr(self.cgroup + "/gone.g7", "user.holdfast", b"made")
        for name in ("half-made.g1", "other.service"):
            os.mkdir(os.path.join(self.cgroup, name))
        daemon = self.start({"web": web()})
        self.assertEqual(sleeper.wait(), -signal.SIGKILL)
        wait_for("it to go", lambda: self.folders() == {"supervisor", "web.g1", "other.service"})
        os.rmdir(self.cgroup + "/other.service")
        self.assertEqual(daemon.end(), 0)

    def test_what_somebody_else_has_in_a_cgroup_of_such_a_name_is_left_alone(self):
        sleepers = [self.sleeper_in("other.g3"), self.sleeper_in("web.g1")]
        daemon = self.start({"web": self.leaving("(setsid sleep 1%s &)" % self.mark)})
        daemon.wait_log("it is somebody else's")
        self.assertEqual(cgroup_of(daemon.pid_of("web")), self.own("/supervisor"))
        self.assertIsNone(daemon.workers("web")[0]["cgroup"])
        self.assertEqual(daemon.run("restart", "web").status, 0)
        self.assertEqual(cgroup_of(daemon.pid_of("web")), self.own("/web.g2"))
        self.assertEqual(daemon.end(), 0)
        for sleeper in sleepers:
            self.assertIsNone(sleeper.poll())
            sleeper.kill()
            sleeper.wait()
        for name in ("other.g3", "web.g1"):
            wait_for("its end", lambda n=name: self.remove(os.path.join(self.cgroup, n)))
        wait_for("what the first left behind to go", lambda: not processes(" 1%s " % self.mark))

    def test_where_no_more_cgroups_can_be_made_services_work_without(self):
        with open(self.cgroup + "/cgroup.max.descendants", "w", encoding="utf-8") as file:
            file.write("2")
        daemon = self.start({"web": web()})
        daemon.write("more", self.leaving(self.other_session()))
        self.assertEqual(daemon.run("apply").status, 0)
        daemon.wait_whole("more")
        self.wait_left(1)
        self.assertEqual(self.folders(), {"supervisor", "web.g1"})
        self.assertEqual(cgroup_of(daemon.pid_of("more")), self.own("/supervisor"))
        daemon.wait_log("make the cgroup more.g1")
        daemon.run("restart", "more")
        self.wait_left(1)
        daemon.run("stop", "more")
        self.wait_left(0)
        self.assertEqual(daemon.log_text().count("make the cgroup"), 1)

    def test_where_no_more_processes_may_be_it_is_said_and_tried_again(self):
        pids = "/sys/fs/cgroup/pids"
        if not os.access(pids + "/cgroup.procs", os.W_OK):
            self.skip("there is no pids controller of version 1")
        limited = os.path.join(pids, os.path.basename(self.cgroup))
        os.mkdir(limited)
        self.addCleanup(wait_for, "its end", lambda: self.remove(limited))
        daemon = self.start({"web": web()}, wrapper=("sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', limited))
        with open(limited + "/pids.current", encoding="utf-8") as current, open(limited + "/pids.max", "w", encoding="utf-8") as limit:
            limit.write(current.read())
        refused = daemon.run("restart", "web")
        self.assertEqual(refused.status, 1, refused)
        self.assertIn("pids.max", refused.text)
        wait_for("the empty cgroup to go", lambda: self.folders() == {"supervisor", "web.g1"})
        with open(limited + "/pids.max", "w", encoding="utf-8") as limit:
            limit.write("max")
        self.assertEqual(daemon.run("restart", "web").status, 0)

    def test_names_with_dots_and_long_ones_have_their_cgroups(self):
        name = "a.b@c:1-_" + "." * 180
        daemon = self.start({name: web()})
        where = cgroup_of(daemon.pid_of(name))
        self.assertTrue(where.startswith(self.own("/a\\x2eb@c:1-_\\x2e")), where)
        self.assertEqual(daemon.workers(name)[0]["cgroup"], where)
        self.kill(daemon)
        wait_for("the next holdfastd", lambda: daemon.run("status", name).status == 0)
        self.assertEqual(cgroup_of(daemon.pid_of(name)), where)
        daemon.run("stop", name)
        wait_for("it to go", lambda: self.folders() == {"supervisor"})

    def test_an_upgrade_leaves_all_where_it_is(self):
        daemon = self.start({"web": self.leaving(self.other_session())})
        first, pid = self.wait_left(1), daemon.pid_of("web")
        self.assertEqual(daemon.run("upgrade").status, 0)
        self.assertEqual((self.left(), daemon.pid_of("web")), (first, pid))
        self.assertEqual(cgroup_of(pid), self.own("/web.g1"))
        self.assertEqual(daemon.run("restart", "web").status, 0)
        wait_for("the first to go", lambda: self.folders() == {"supervisor", "web.g2"} and not first & self.left())

    def test_an_ordinary_user_has_them_where_they_were_delegated(self):
        self.needs_nobody()
        for name in (".", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"):
            os.chown(os.path.join(self.cgroup, name), NOBODY, NOBODY)
        os.chown(self.folder, NOBODY, NOBODY)
        daemon = self.start({"web": self.leaving(self.other_session())}, options=("--foreground", "--system"),
                            wrapper=("setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"))
        self.wait_left(1)
        self.assertEqual(cgroup_of(daemon.pid_of("web")), self.own("/web.g1"))
        self.assertEqual(cgroup_of(daemon.pid), self.own("/supervisor"))
        daemon.run("stop", "web")
        self.wait_left(0)
        wait_for("its cgroup to go", lambda: self.folders() == {"supervisor"})

    def test_a_leaf_that_was_killed_once_kills_no_worker_at_its_birth(self):
        """Linux 6.18 kills whoever is forked from a cgroup that was killed into one that was not."""
        leaf = self.cgroup + "/supervisor"
        for has_somebody in (False, True):
            with self.subTest(has_somebody=has_somebody):
                os.makedirs(leaf, exist_ok=True)
                with open(leaf + "/cgroup.kill", "w", encoding="utf-8") as file:
                    file.write("1")
                sleeper = self.sleeper_in("supervisor") if has_somebody else None
                daemon = self.start({"web": web()}, folder="somebody" if has_somebody else "nobody")
                self.assertEqual(cgroup_of(daemon.pid_of("web")), self.own("/web.g1"))
                self.assertEqual(daemon.run("restart", "web").status, 0)
                self.assertEqual(daemon.end(), 0)
                if sleeper:
                    sleeper.kill()
                    sleeper.wait()
                    wait_for("its end", lambda: self.remove(leaf))

    def test_a_second_daemon_in_the_same_cgroup_leaves_it_alone(self):
        first = self.start({"web": self.leaving(self.other_session())})
        second = self.start({"web": web()}, folder="second")
        second.wait_log("another holdfastd has taken it")
        self.assertEqual(second.run("restart", "web").status, 0)
        self.assertEqual(second.end(), 0)
        self.wait_left(1)
        self.assertEqual(cgroup_of(first.pid_of("web")), self.own("/web.g1"))

    def test_without_a_keeper_it_is_the_same(self):
        daemon = self.daemon({"web": self.leaving(self.other_session())}, wrapper=self.wrapper()[:-2])
        self.wait_left(1)
        self.assertEqual(cgroup_of(daemon.pid), self.own("/supervisor"))
        daemon.run("stop", "web")
        self.wait_left(0)

    def test_a_container_has_them_where_they_can_be_written_to(self):
        daemon = self.daemon({"web": self.leaving(self.other_session())}, wrapper=[
            *self.wrapper()[:-2], "unshare", "--mount", "--cgroup", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private",
            "sh", "-c", 'mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"', "sh", program("holdfast-keeper"), "--"])
        self.wait_left(1)
        wait_for("its cgroup", lambda: "web.g1" in self.folders())
        self.assertEqual(daemon.workers("web")[0]["cgroup"], "/web.g1")
        daemon.run("stop", "web")
        self.wait_left(0)
        wait_for("its cgroup to go", lambda: self.folders() == {"supervisor"})
        one = next(iter(children_of(daemon.pid)))  # process 1 in there
        os.kill(one, signal.SIGTERM)
        self.assertEqual(daemon.wait_end(), 0)


class WithoutCgroups(Everywhere, Leftovers):
    def setUp(self):
        super().setUp()
        self.needs_root("only root can hide the cgroups")
        probe = subprocess.run([*HIDDEN, "true"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if probe.returncode != 0:
            self.skip("cgroups cannot be hidden: " + probe.stdout.strip())

    def start(self, units, **more):
        return self.daemon(units, wrapper=[*HIDDEN, program("holdfast-keeper"), "--"], **more)

    def test_it_is_said_once(self):
        daemon = self.start({"web": web(), "more": web()})
        daemon.run("restart", "web")
        daemon.wait_log("no cgroup of version 2")
        self.assertEqual(daemon.log_text().count("no cgroup of version 2"), 1)
        self.assertIsNone(daemon.workers("web")[0]["cgroup"])

    def test_it_is_said_why_there_are_none(self):
        in_a_namespace = ["unshare", "--mount", "--propagation", "private", "sh", "-c"]
        for why, script in (("not ours to write to", 'mount -o remount,bind,ro "$0" && exec "$@"'),
                            ("not delegated to us", 'mount -t tmpfs none /run && mkdir -p /run/systemd/system && exec "$@"')):
            with self.subTest(why):
                cgroup = self.a_cgroup()
                daemon = self.daemon({"web": self.leaving(self.other_session())}, folder=why.replace(" ", "-"), wrapper=[
                    "sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', cgroup, *in_a_namespace, script, CGROUPS, program("holdfast-keeper"), "--"])
                daemon.wait_log(why)
                self.wait_left(1)
                self.assertEqual(cgroup_of(daemon.pid_of("web")), cgroup[len(CGROUPS):])
                daemon.run("stop", "web")
                self.wait_left(0)

    def test_what_is_not_marked_as_delegated_may_be_said_to_be(self):
        """A manager of a user marks nothing: the unit of a user's holdfastd had no cgroups."""
        cgroup = self.a_cgroup()
        daemon = self.daemon({"web": self.leaving(self.other_session())}, options=("--foreground", "--delegated"), wrapper=[
            "sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', cgroup, "unshare", "--mount", "--propagation", "private", "sh", "-c",
            'mount -t tmpfs none /run && mkdir -p /run/systemd/system && exec "$@"', "sh", program("holdfast-keeper"), "--"])
        self.wait_left(1)
        self.assertEqual(cgroup_of(daemon.pid_of("web")), cgroup[len(CGROUPS):] + "/web.g1")
        daemon.run("stop", "web")
        self.wait_left(0)

    def a_cgroup(self):
        if CGROUPS is None or not os.access(CGROUPS, os.W_OK):
            self.skip("there is no cgroup of version 2 that could be written to")
        cgroup = os.path.join(CGROUPS, "holdfast-test-%d-%d" % (os.getpid(), random.randrange(1 << 30)))
        os.mkdir(cgroup)
        self.addCleanup(wait_for, "its end", lambda: WithCgroups.remove(cgroup))
        return cgroup

    def test_who_is_of_its_session_is_found_without_its_environment(self):
        daemon = self.start({"web": self.leaving("(env -i %s -c 'import os, sys; os.setpgid(0, 0); os.execv(\"/bin/sleep\", [\"sleep\", \"%s\"])' &)"
                                                 % (PYTHON, self.mark))})
        self.wait_left(1)
        daemon.run("stop", "web")
        self.wait_left(0)

    def test_what_another_user_left_behind_is_found(self):
        self.needs_nobody()
        daemon = self.start({"web": self.leaving(self.other_session(), user=str(NOBODY), group=str(NOBODY))})
        self.wait_left(1)
        daemon.run("stop", "web")
        self.wait_left(0)


if __name__ == "__main__":
    main()
