# SPDX-License-Identifier: Apache-2.0
"""`holdfast run`: the supervisor in the foreground for one program; no unit file, no root, no daemon."""
import os
import re
import signal
import subprocess
import time

from harness import DEADLINE, FACTOR, PYTHON, WORKER, Story, free_port, http_get, main, program, wait_ended, wait_for


class Run(Story):
    def start(self, *options, command=None, ready=True):
        """`holdfast run` on a port; its standard error goes to a file."""
        self.port = free_port()
        self.log = os.path.join(self.folder, "log")
        with open(self.log, "ab") as log:
            process = subprocess.Popen(
                [program("holdfast"), "run", "--listen", "127.0.0.1:%d" % self.port, *options, "--", *(command or [program("holdfast-webserver")])],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, "XDG_RUNTIME_DIR": self.folder})
        self.addCleanup(self.clean, process)
        if ready:
            self.wait_log(r"worker 1 of generation 1 is ready")
        return process

    def clean(self, process):
        if process.poll() is None:
            process.kill()
            process.wait()

    def tearDown(self):
        super().tearDown()
        self.assertEqual([n for n in os.listdir(self.folder) if n.startswith("holdfast-run")], [], "its folder goes with it")

    def text(self):
        with open(self.log) as log:
            return log.read()

    def wait_log(self, pattern, count=1):
        wait_for("%d times %s in its log" % (count, pattern), lambda: len(re.findall(pattern, self.text())) >= count)

    def served_by(self):
        return int(re.search(r"pid=(\d+)", http_get(self.port)[1]).group(1))

    def end(self, process, status=0, how=signal.SIGTERM):
        process.send_signal(how)
        self.assertEqual(process.wait(DEADLINE), status, self.text())

    def test_it_serves_and_ends_on_sigterm_and_sigint(self):
        for how in (signal.SIGTERM, signal.SIGINT):
            process = self.start("--ready", "notify")
            pid = self.served_by()
            self.end(process, how=how)
            wait_ended(pid)
            with self.assertRaises(ConnectionRefusedError):
                http_get(self.port)
            os.unlink(self.log)

    def test_sighup_restarts_under_load_and_loses_nothing(self):
        for ready in ("notify", "exec"):
            process = self.start("--ready", ready)
            load, count, last = self.load(self.port, seconds=1.5), 0, self.served_by()
            while load.is_running():
                process.send_signal(signal.SIGHUP)
                count += 1
                self.wait_log(r"rollout of generation \d+ is done", count)
            self.assertGreater(count, 1)
            self.assertNotEqual(self.served_by(), last)
            self.assert_clean(load.finish(), least=100)
            self.end(process)
            os.unlink(self.log)

    def test_each_process_has_a_shard_of_its_own_where_that_is_wished(self):
        process = self.start("--ready", "notify", "--workers", "2", "--reuse-port")
        self.wait_log(r"worker \d of generation 1 is ready", 2)
        with open("/proc/net/tcp") as table:
            rows = [line.split() for line in table]
        self.assertEqual(sum(row[3] == "0A" and row[1].endswith(":%04X" % self.port) for row in rows), 5, "two banks and an anchor")
        pids = set()
        wait_for("both to answer", lambda: pids.add(self.served_by()) or len(pids) == 2)
        process.send_signal(signal.SIGHUP)
        self.wait_log(r"rollout of generation \d+ is done")
        self.assertNotIn(self.served_by(), pids)
        self.end(process)

    def test_the_programs_whole_group_ends_with_it(self):
        pids = os.path.join(self.folder, "pids")
        process = self.start("--ready", "notify", command=[PYTHON, "-I", "-S", WORKER, "children=" + pids, "say=READY=1"])
        with open(pids) as file:
            children = [int(word) for word in file.read().split()]
        self.end(process)
        for pid in children:
            wait_ended(pid)

    def test_a_change_under_a_watched_path_restarts(self):
        watched = os.path.join(self.folder, "app")
        os.mkdir(watched)
        process = self.start("--ready", "notify", "--watch", watched)
        old = self.served_by()
        load = self.load(self.port, seconds=1)
        with open(os.path.join(watched, "file"), "w") as file:
            file.write("changed")
        self.wait_log(r"rollout of generation 2 is done")
        self.assertNotEqual(self.served_by(), old)
        self.assert_clean(load.finish(), least=100)
        self.end(process)

    def test_a_new_release_that_fails_leaves_the_old_one_serving(self):
        path = os.path.join(self.folder, "app")
        os.symlink(program("holdfast-webserver"), path)
        process = self.start("--ready", "notify", command=[path])
        old = self.served_by()
        os.unlink(path)
        process.send_signal(signal.SIGHUP)
        self.wait_log(r"rollout of generation 2 failed.*No such file")
        self.assertEqual(self.served_by(), old)
        self.end(process)

    def test_a_crash_is_replaced(self):
        process = self.start("--ready", "notify")
        old = self.served_by()
        os.kill(old, 9)
        self.wait_log(r"worker 2 of generation 1 is ready")
        self.assertNotEqual(self.served_by(), old)
        self.end(process)

    def test_what_cannot_be_run_is_said_and_fails(self):
        for command, status, words in ((["/nonexistent/app"], 1, "No such file"), (["/bin/false"], 1, "exit code 1")):
            process = self.start("--ready", "notify", command=command, ready=False)
            self.assertEqual(process.wait(DEADLINE), status, self.text())
            self.assertIn(words, self.text())
            os.unlink(self.log)

    def test_a_port_in_use_is_said_and_fails(self):
        first = self.start("--ready", "notify")
        done = subprocess.run([program("holdfast"), "run", "--listen", "127.0.0.1:%d" % self.port, "--", "/bin/true"], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=DEADLINE, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("port %d is held by" % self.port, done.stdout)
        self.end(first)

    def test_the_command_reaches_it_through_its_runtime_folder(self):
        runtime = os.path.join(self.folder, "mine")
        process = self.start("--ready", "notify", "--runtime-dir", runtime, "--name", "http")

        def run(*arguments):
            return subprocess.run([program("holdfast"), "--runtime-dir", runtime, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual(run("status", "holdfast-webserver").returncode, 0)
        self.assertEqual(run("restart", "holdfast-webserver").returncode, 0)
        self.assertIn("http", run("sockets").stdout)
        self.assertEqual(run("shutdown").returncode, 0)
        self.assertEqual(process.wait(DEADLINE), 0)

    def test_a_program_that_ends_well_ends_it(self):
        began = time.monotonic()
        process = self.start("--ready", "exec", command=["/bin/sh", "-c", "sleep 0.1"], ready=False)
        self.assertEqual(process.wait(DEADLINE), 0)
        self.assertLess(time.monotonic() - began, 10 * FACTOR)


if __name__ == "__main__":
    main()
