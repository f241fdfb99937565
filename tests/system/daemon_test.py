# SPDX-License-Identifier: Apache-2.0
"""holdfastd itself: its folders, its own supervisor, its log, its end; and that nothing outside can make it stand still (P4, P6)."""
import os
import shutil
import signal
import subprocess

from harness import (FACTOR, NOBODY, PYTHON, ROOT, Story, as_user, http_get, is_root, main, program, tcp, unit_text, wait_ended,
                     wait_for, web, worker)


class DaemonItself(Story):
    def refused(self, *arguments, wrapper=(), uid=None, environment=None, foreground=True):
        """What it said when it would not start."""
        arguments = [*(["--foreground"] if foreground else []), *arguments]
        done = subprocess.run([*wrapper, program("holdfastd"), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=20 * FACTOR, check=False,
                              env={**os.environ, **(environment or {})}, **as_user(uid))
        self.assertNotEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def test_a_second_instance_on_the_same_runtime_folder_is_refused(self):
        daemon = self.daemon({"web": web()})
        said = self.refused("--unit-dir", daemon.units, "--runtime-dir", daemon.runtime)
        self.assertIn("another holdfastd (pid %d) already uses the runtime folder %s" % (daemon.pid, daemon.runtime), said)
        self.assertEqual(http_get(daemon.port("web"))[0], 200)
        self.assert_says(daemon.run("status"), 0)

    def test_a_runtime_folder_left_by_a_killed_instance_is_taken(self):
        daemon = self.daemon()
        daemon.process.kill()
        daemon.wait_end()
        self.assertIn("control.sock", os.listdir(daemon.runtime))
        self.daemon({"web": web()})

    def test_a_runtime_folder_of_another_user_is_refused(self):
        self.needs_root("only root can make a folder of another user")
        folder = os.path.join(self.folder, "run")
        os.mkdir(folder)
        os.chown(folder, NOBODY, NOBODY)
        self.assertIn("belongs to user %d" % NOBODY, self.refused("--runtime-dir", folder))

    def test_a_runtime_folder_that_others_can_write_is_refused(self):
        folder = os.path.join(self.folder, "run")
        os.mkdir(folder)
        os.chmod(folder, 0o777)
        said = self.refused("--runtime-dir", folder)
        self.assertIn("can be written by others", said)
        self.assertIn("chmod go-w", said)

    def test_a_runtime_folder_that_cannot_be_one_is_refused(self):
        path = os.path.join(self.folder, "file")
        with open(path, "w"):
            pass
        self.assertIn(path, self.refused("--runtime-dir", path))
        self.assertIn("Not a directory", self.refused("--runtime-dir", path + "/below"))
        self.assertIn("use a shorter runtime folder", self.refused("--runtime-dir", self.folder + "/" + "x" * 120))

    def test_where_no_log_folder_can_be_made_the_way_out_is_named(self):
        """On a read-only root it said only that the folder cannot be made."""
        if os.path.exists("/run/systemd/journal/stdout"):
            self.skip("the output goes to the journal")
        folder = os.path.join(self.folder, "run")
        os.mkdir(folder, 0o755)
        with open(os.path.join(folder, "log"), "w"):
            pass
        self.assertIn("--foreground", self.refused("--runtime-dir", folder, foreground=False))

    def test_a_runtime_folder_may_be_relative(self):
        """Workers start in another folder, and were told a NOTIFY_SOCKET that is not there: none became ready."""
        os.mkdir(os.path.join(self.folder, "units"))
        with open(os.path.join(self.folder, "units", "web.toml"), "w", encoding="utf-8") as file:
            file.write(web())
        process = subprocess.Popen([program("holdfastd"), "--foreground", "--unit-dir", "units", "--runtime-dir", "run"], cwd=self.folder,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            command = [program("holdfast"), "--runtime-dir", os.path.join(self.folder, "run"), "start", "web"]
            wait_for("its control socket", lambda: os.path.exists(os.path.join(self.folder, "run", "control.sock")))
            started = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20 * FACTOR, check=False)
            self.assertEqual(started.returncode, 0, started.stdout)
        finally:
            process.terminate()
            self.assertEqual(process.wait(20 * FACTOR), 0)

    def test_a_unit_folder_that_is_missing_is_said_and_the_others_count(self):
        daemon = self.daemon({"web": web()}, options=["--foreground", "--unit-dir", os.path.join(self.folder, "nothere")])
        daemon.wait_log("nothere")
        self.assert_says(daemon.run("plan"), 1, "nothere")
        self.assertEqual(http_get(daemon.port("web"))[0], 200)

    def with_a_secret_folder(self, units, **more):
        """A daemon that has a second unit folder, which its user may not read."""
        if is_root():
            self.needs_nobody()
            more["uid"] = NOBODY
        secret = os.path.join(self.folder, "secret")
        os.mkdir(secret)
        os.chmod(secret, 0)
        self.addCleanup(os.chmod, secret, 0o700)  # so that an ordinary user can remove it
        daemon = self.daemon(units, options=["--foreground", "--unit-dir", secret], **more)
        daemon.wait_log(secret + ": error: cannot open the folder: Permission denied")
        return daemon

    def test_a_unit_folder_that_may_not_be_read_is_said(self):
        daemon = self.with_a_secret_folder({})
        self.assertIn("secret", daemon.run("plan", uid=daemon.uid).text)

    def test_a_unit_folder_that_may_not_be_read_does_not_hurt_the_units_of_others(self):
        """Each unit of every other folder was called bad, because its drop-ins might have been in the folder that cannot be read."""
        daemon = self.with_a_secret_folder({"web": web()}, active=False)
        self.assertNotEqual(daemon.unit("web")["state"], "bad")

    def test_sigterm_stops_everything_in_order_and_takes_its_sockets_away(self):
        path, pids = os.path.join(self.folder, "w.sock"), os.path.join(self.folder, "pids")
        daemon = self.daemon({"web": web("unix:" + path), "family": worker("children=" + pids, "say=READY=1"), "lazy": web(activation="lazy")},
                             active=["web", "family"])
        workers = [daemon.pid_of("web"), daemon.pid_of("family")]
        with open(pids) as file:
            workers += [int(word) for word in file.read().split()]
        with daemon.control() as control:
            control.send("Events", more=True, follow=True)
            self.assertIsNotNone(control.receive())
            daemon.process.send_signal(signal.SIGTERM)
            daemon.wait_said("STOPPING=1")
            daemon.wait_said("EXTEND_TIMEOUT_USEC=")
            self.assertEqual(daemon.wait_end(), 0)
            kinds = []
            while (reply := control.receive()) is not None:
                kinds += [e["kind"] for e in reply.get("parameters", {}).get("events", [])]
            self.assertEqual(kinds.count("stopped"), 3, kinds)
        for pid in workers:
            wait_ended(pid)
        self.assertFalse(os.path.exists(path))
        self.assertEqual(set(os.listdir(daemon.runtime)), {"lock"})

    def test_a_second_sigterm_does_not_wait_for_the_stubborn(self):
        daemon = self.daemon({"web": worker("say=READY=1", "ignore-term", timeout_stop="300s")})
        pid = daemon.pid_of("web")
        daemon.process.send_signal(signal.SIGTERM)
        daemon.wait_state("web", "stopping")
        daemon.process.send_signal(signal.SIGTERM)
        self.assertEqual(daemon.wait_end(), 0)
        wait_ended(pid)

    def test_shutdown_waits_and_so_does_sigint(self):
        daemon = self.daemon({"web": web()})
        self.assert_says(daemon.run("shutdown"), 0)
        self.assertEqual(daemon.wait_end(), 0)
        daemon = self.daemon({"web": web()})
        daemon.process.send_signal(signal.SIGINT)
        self.assertEqual(daemon.wait_end(), 0)

    def test_it_tells_its_own_supervisor_when_it_is_ready_and_when_it_stops(self):
        daemon = self.daemon({"web": web()})
        self.assertIn("READY=1\n", daemon.said)
        # READY comes when it holds the sockets and answers: a connect at that moment is never refused.
        daemon.process.send_signal(signal.SIGTERM)
        daemon.wait_said("STOPPING=1")
        self.assertEqual(daemon.wait_end(), 0)

    def test_an_ordinary_user_has_a_supervisor_of_their_own(self):
        uid = os.geteuid()
        if is_root():
            self.needs_nobody()
            uid = NOBODY
        home = os.path.join(self.folder, "home")
        for part in ("", "/run", "/config", "/config/holdfast", "/config/holdfast/units", "/state"):
            os.makedirs(home + part, mode=0o700, exist_ok=True)
            os.chown(home + part, uid, uid)
        with open(home + "/config/holdfast/units/web.toml", "w") as file:
            file.write(web())
        os.chmod(file.name, 0o644)
        surroundings = {"XDG_RUNTIME_DIR": home + "/run", "XDG_CONFIG_HOME": home + "/config", "XDG_STATE_HOME": home + "/state", "HOME": home}
        daemon = self.daemon(options=["--user"], uid=uid if is_root() else None, environment=surroundings, unit_folder=False, runtime_folder=False)
        daemon.runtime = home + "/run/holdfast"
        if is_root():  # and the command finds it by itself
            done = subprocess.run([program("holdfast"), "--user", "status", "web"], stdout=subprocess.PIPE, text=True, check=False,
                                  env={**os.environ, **surroundings}, **as_user(uid))
            self.assertEqual(done.returncode, 0, done.stdout)
        daemon.wait_state("web", "active")
        self.assertEqual(http_get(daemon.port("web"))[0], 200)
        self.assertEqual(os.stat("/proc/%d" % daemon.pid_of("web")).st_uid, uid)
        self.assertEqual(os.stat(daemon.runtime).st_uid, uid)

    def test_every_bad_unit_file_at_once_does_not_hurt_the_good_one(self):
        bad = os.path.join(ROOT, "tests/units/bad")
        daemon = self.daemon({"zz-good": web()}, active=False)
        self.assertEqual(daemon.end(), 0)
        names = [name for name in os.listdir(bad) if name.endswith(".toml")]
        self.assertGreater(len(names), 50)
        for name in names:
            if os.path.isfile(os.path.join(bad, name)):
                shutil.copy(os.path.join(bad, name), daemon.units)
        os.mkdir(os.path.join(daemon.units, "folder.toml"))
        os.symlink("/nonexistent", os.path.join(daemon.units, "dangling.toml"))
        os.mkfifo(os.path.join(daemon.units, "pipe.toml"))
        daemon = self.daemon(active=["zz-good"])
        self.assertEqual(http_get(daemon.port("zz-good"))[0], 200)
        states = {u["name"]: u["state"] for u in daemon.call("List")["units"]}
        for name in names:
            if name[:-5] in states:
                self.assertEqual(states[name[:-5]], "bad", name)
        self.assertGreater(list(states.values()).count("bad"), 50)
        pid = daemon.pid_of("zz-good")
        self.assert_says(daemon.run("apply"), 1)
        self.assertEqual(daemon.pid_of("zz-good"), pid)
        self.assert_says(daemon.run("restart", "zz-good"), 0)

    # ---- where output goes ----

    def test_without_foreground_the_output_of_workers_goes_to_a_file_that_is_appended_to(self):
        if os.path.exists("/run/systemd/journal/stdout"):
            self.skip("there is a journal here, which takes the output")
        script = "echo out $$; echo error >&2; exec sleep 1000"
        daemon = self.daemon({"loud": unit_text((), {"type": "exec", "exec_start": ["/bin/sh", "-c", script]})}, options=[])
        log = daemon.unit("loud")["log"]
        self.assertTrue(log.startswith(daemon.runtime + "/log/"), log)
        self.assertIn(log, daemon.run("status", "loud").out)

        def lines():
            with open(log) as file:
                return file.read().splitlines()
        wait_for("the output", lambda: len(lines()) == 2)
        self.assert_says(daemon.run("restart", "loud"), 0)
        wait_for("more output", lambda: len(lines()) == 4)
        self.assertEqual(lines()[1::2], ["error"] * 2)
        self.assertEqual(os.stat(log).st_mode & 0o007, 0)

    def test_a_full_pipe_as_its_stderr_does_not_stop_it(self):
        """It never ended: the thread that writes the log was joined while it waited for a reader of standard error."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        try:
            while os.write(writer, b"x" * 4096):
                pass
        except BlockingIOError:
            pass
        os.set_blocking(writer, True)
        try:
            daemon = self.daemon({"web": web()}, stderr=writer)
            for _ in range(200):  # much more than it queues
                daemon.call("Version")
                self.assert_says(daemon.run("restart", "web", "--no-wait"), 0)
            daemon.wait_state("web", "active")
            self.assertEqual(http_get(daemon.port("web"))[0], 200)
            self.assertEqual(daemon.end(), 0, "and it ends, though nobody ever reads")
        finally:
            os.close(reader)
            os.close(writer)

    def test_a_closed_stderr_does_not_hurt_it(self):
        reader, writer = os.pipe()
        os.close(reader)  # every write is SIGPIPE or EPIPE
        try:
            daemon = self.daemon({"web": web()}, stderr=writer)
            self.assert_says(daemon.run("restart", "web"), 0)
        finally:
            os.close(writer)

    def test_a_full_disk_under_its_log_does_not_stop_it(self):
        if not is_root() or subprocess.run(["unshare", "-m", "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
            self.skip("a mount namespace needs root")
        # In a namespace of its own, the log folder is a disk of 16 KiB that is full.
        os.makedirs(os.path.join(self.folder, "run", "log"))
        mount = "mount -t tmpfs -o size=16k,mode=700 none %s/run/log && dd if=/dev/zero of=%s/run/log/filler bs=4k count=8 2>/dev/null; exec \"$@\"" % (self.folder, self.folder)
        script = "echo started; while :; do echo line; sleep 0.01; done"
        daemon = self.daemon({"web": web(), "loud": unit_text([tcp()], {"type": "exec", "exec_start": ["/bin/sh", "-c", script], "restart": "no"})},
                             options=[], wrapper=["unshare", "-m", "--propagation", "private", "sh", "-c", mount, "sh"], active=["web"])
        load = self.load(daemon.port("web"), seconds=1)
        while load.is_running():
            self.assert_says(daemon.run("restart", "web"), 0)
        self.assert_clean(load.finish(), least=100)

    def test_workers_have_its_standard_error_in_the_foreground(self):
        daemon = self.daemon({"loud": unit_text((), {"type": "exec", "exec_start": ["/bin/sh", "-c", "echo from the worker; exec sleep 1000"]})})
        daemon.wait_log("from the worker")

    def test_closed_standard_descriptors_are_replaced(self):
        code = "import os, sys; os.closerange(0, 3); os.execv(sys.argv[1], sys.argv[1:])"
        daemon = self.daemon({"web": web(), "plain": unit_text((), {"type": "exec", "exec_start": ["/bin/sleep", "1000"]})},
                             wrapper=[PYTHON, "-I", "-S", "-c", code])
        self.assertEqual(os.readlink("/proc/%d/fd/1" % daemon.pid_of("plain")), "/dev/null")
        self.assert_says(daemon.run("restart", "web"), 0)

    def test_bad_options_are_usage_errors(self):
        for arguments in (["--nonsense"], ["--system", "--user"], ["extra"], ["--unit-dir"]):
            done = subprocess.run([program("holdfastd"), *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
            self.assertEqual(done.returncode, 2, (arguments, done.stdout))
        done = subprocess.run([program("holdfastd"), "--version"], stdout=subprocess.PIPE, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout.split()[0]), (0, "holdfastd"))


if __name__ == "__main__":
    main()
