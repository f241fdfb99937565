# SPDX-License-Identifier: Apache-2.0
"""What a worker is given: its descriptors and nothing else (P5), whichever way they come, in a clean process."""
import json
import os
import resource
import socket
import subprocess

from harness import HERE, NOBODY, PYTHON, Story, as_user, connect, http_get, main, status_of, tcp, unit_text, wait_for, web

SCM_WORKER = [PYTHON, "-I", "-S", os.path.join(HERE, "scm_worker.py")]


def proc(pid, what):
    with open("/proc/%d/%s" % (pid, what), "rb") as file:
        return file.read().decode(errors="replace")


def environment_of(pid):
    return dict(entry.split("=", 1) for entry in proc(pid, "environ").split("\0") if entry)


def descriptors_of(pid):
    folder = "/proc/%d/fd" % pid
    return {int(fd): os.readlink(os.path.join(folder, fd)) for fd in os.listdir(folder)}


def inode_of_port(port, table="tcp"):
    with open("/proc/net/" + table) as file:
        for line in file.readlines()[1:]:
            words = line.split()
            if int(words[1].rpartition(":")[2], 16) == port and words[3] in ("0A", "07"):
                return "socket:[%s]" % words[9]
    return None


def inode_of_path(path):
    """Of the socket that was bound to it, which may have been renamed since: by asking who it is."""
    with open("/proc/net/unix") as file:
        return {"socket:[%s]" % line.split()[6] for line in file.readlines()[1:] if path in line}


def sleeper(sockets=(), **service):
    return unit_text(sockets, {"type": "exec", "exec_start": ["/bin/sleep", "1000"], **service})


class Handoff(Story):
    # ---- LISTEN_FDS ----

    def test_a_worker_has_standard_descriptors_and_its_listeners_and_nothing_else(self):
        path = os.path.join(self.folder, "s.sock")
        sockets = [tcp("b", ["127.0.0.1:0", "unix:" + path]), tcp("a", "[::1]:0"), tcp("udp", "udp://127.0.0.1:0"), tcp("x", "unix:@hf-%d" % os.getpid())]
        daemon = self.daemon({"many": sleeper(sockets), "other": web(), "none": sleeper()})
        # Started while much else is open: clients of control.sock and of handoff.sock.
        clients = [daemon.control() for _ in range(5)]
        for client in clients:
            client.call("Version")
        self.assert_says(daemon.run("restart", "many", "none"), 0)
        pid = daemon.pid_of("many")
        held = daemon.sockets("many")
        self.assertEqual([s["name"] for s in held], ["b", "b", "a", "udp", "x"], "in the order of the file")
        fds = descriptors_of(pid)
        self.assertEqual(sorted(fds), list(range(3 + 5)))
        self.assertEqual(fds[0], "/dev/null")
        self.assertEqual((fds[1], fds[2]), (daemon.log, daemon.log))
        self.assertEqual(fds[3], inode_of_port(held[0]["port"]))
        self.assertEqual(fds[5], inode_of_port(held[2]["port"], "tcp6"))
        self.assertEqual(fds[6], inode_of_port(held[3]["port"], "udp"))
        self.assertIn(fds[7], inode_of_path("@hf-%d" % os.getpid()))
        for fd in fds:
            flags = next(line for line in proc(pid, "fdinfo/%d" % fd).splitlines() if line.startswith("flags:")).split()[1]
            self.assertFalse(int(flags, 8) & os.O_CLOEXEC, fd)
        wait_for("these and no others", lambda: sorted(descriptors_of(daemon.pid_of("none"))) == [0, 1, 2])  # once its libraries are loaded
        environment = environment_of(pid)
        self.assertEqual((environment["LISTEN_FDS"], environment["LISTEN_PID"]), ("5", str(pid)))
        self.assertEqual(environment["LISTEN_FDNAMES"], "b:b:a:udp:x")
        self.assertEqual(environment_of(daemon.pid_of("none")).get("LISTEN_FDS", "0"), "0")
        if "LISTEN_PIDFDID" in environment:  # a kernel that numbers pidfds
            self.assertEqual(int(environment["LISTEN_PIDFDID"]), os.fstat(os.pidfd_open(pid)).st_ino)
        for client in clients:
            client.close()

    def test_descriptors_that_holdfastd_itself_inherited_reach_nobody(self):
        reader, writer = os.pipe()
        os.set_inheritable(writer, True)
        os.dup2(writer, 77, inheritable=True)
        try:
            daemon = self.daemon({"one": sleeper([tcp()])}, wrapper=[PYTHON, "-c", "import os, sys; os.dup2(2, 77); os.execv(sys.argv[1], sys.argv[1:])"])
        finally:
            for fd in (reader, writer, 77):
                os.close(fd)
        # It is ready when it is executed, and may still be loading its libraries.
        wait_for("these and no others", lambda: sorted(descriptors_of(daemon.pid_of("one"))) == [0, 1, 2, 3])

    def test_a_worker_starts_with_default_signals_in_a_session_of_its_own(self):
        # holdfastd is started with signals ignored and blocked; its workers are not.
        code = ("import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); signal.signal(signal.SIGUSR1, signal.SIG_IGN);"
                "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2, signal.SIGQUIT]); os.execv(sys.argv[1], sys.argv[1:])")
        daemon = self.daemon({"one": sleeper()}, wrapper=[PYTHON, "-c", code])
        pid = daemon.pid_of("one")
        status = status_of(pid)
        self.assertEqual({key: int(status[key], 16) for key in ("SigBlk", "SigIgn", "SigCgt", "SigPnd")},
                         {"SigBlk": 0, "SigIgn": 0, "SigCgt": 0, "SigPnd": 0})
        self.assertEqual((os.getsid(pid), os.getpgid(pid)), (pid, pid))
        self.assertEqual(int(proc(pid, "stat").rpartition(")")[2].split()[4]), 0, "no controlling terminal")

    def test_umask_limits_working_directory_and_environment_are_those_of_the_unit(self):
        os.mkdir(os.path.join(self.folder, "work"))
        unit = sleeper(umask="0027", working_directory=os.path.join(self.folder, "work"),
                       limits={"nofile": 123, "core": 0}, environment={"ONE": "1 and more", "TWO": "{unit}-{slot}-{generation}"})
        daemon = self.daemon({"own": unit, "plain": sleeper()}, environment={"SECRET_OF_THE_TEST": "x"}, options=["--foreground", "--system"])
        pid = daemon.pid_of("own")
        self.assertEqual(status_of(pid)["Umask"], "0027")
        self.assertEqual(os.readlink("/proc/%d/cwd" % pid), os.path.join(self.folder, "work"))
        self.assertEqual(resource.prlimit(pid, resource.RLIMIT_NOFILE), (123, 123))
        self.assertEqual(resource.prlimit(pid, resource.RLIMIT_CORE), (0, 0))
        environment = environment_of(pid)
        self.assertEqual((environment["ONE"], environment["TWO"]), ("1 and more", "own-0-1"))
        self.assertEqual(environment["NOTIFY_SOCKET"], os.path.join(daemon.runtime, "notify"))
        self.assertNotIn("SECRET_OF_THE_TEST", environment, "the system's daemon does not pass its environment on")
        plain = daemon.pid_of("plain")
        self.assertEqual(os.readlink("/proc/%d/cwd" % plain), "/")
        self.assertEqual(resource.prlimit(plain, resource.RLIMIT_NOFILE), resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE))

    def test_in_user_mode_the_environment_is_passed_on_without_what_is_holdfastds_own(self):
        daemon = self.daemon({"one": sleeper()}, options=["--foreground", "--user"],
                             environment={"MINE": "yes", "LISTEN_FDS": "3", "LISTEN_PID": "1", "HOLDFAST_HANDOFF": "9"})
        environment = environment_of(daemon.pid_of("one"))
        self.assertEqual(environment["MINE"], "yes")
        self.assertEqual(environment["NOTIFY_SOCKET"], os.path.join(daemon.runtime, "notify"))
        self.assertEqual(environment.get("LISTEN_FDS", "0"), "0")
        self.assertNotEqual(environment.get("LISTEN_PID"), "1")
        self.assertNotIn("HOLDFAST_HANDOFF", environment)

    def test_a_worker_of_another_user_is_that_user_entirely(self):
        self.needs_root("only root can start workers as another user")
        daemon = self.daemon({"one": sleeper(user="nobody")})
        status = status_of(daemon.pid_of("one"))
        self.assertEqual(status["Uid"].split(), [str(NOBODY)] * 4)
        self.assertEqual(len(set(status["Gid"].split())), 1)
        self.assertNotIn("0", status["Gid"].split() + status["Groups"].split())
        self.assertEqual(environment_of(daemon.pid_of("one"))["USER"], "nobody")

    def test_placeholders_become_numbers_and_port_0_a_real_port(self):
        unit = unit_text([tcp("http"), tcp("admin", "127.0.0.2:0")], {
            "type": "exec", "environment": {"PORTS": "{port:http},{port:admin}", "BRACES": "{{unit}}"},
            "exec_start": ["/bin/sh", "-c", "exec sleep 1000", "sh", "fd={fd:admin}", "{port:http}", "{unit}.{slot}.{generation}"]})
        daemon = self.daemon({"web": unit})
        ports = [s["port"] for s in daemon.sockets("web")]
        self.assertNotIn(0, ports)
        # The shell executes another program, and a process that is about to has none for a moment.
        environment = wait_for("an environment", lambda: environment_of(daemon.pid_of("web")))
        self.assertEqual(environment["PORTS"], "%d,%d" % tuple(ports))
        self.assertEqual(environment["BRACES"], "{unit}")
        daemon.write("show", unit_text([tcp("http"), tcp("admin", "127.0.0.2:0")], {"type": "exec", "exec_start": ["/bin/sh", "-c", "sleep 1000; :", "sh", "fd={fd:admin}", "{port:http}", "{unit}.{slot}.{generation}"]}))
        self.assert_says(daemon.run("apply"), 0)
        arguments = proc(daemon.pid_of("show"), "cmdline").split("\0")
        self.assertEqual(arguments[4:7], ["fd=4", str(daemon.port("show", "http")), "show.0.1"])

    def test_two_sockets_that_may_have_any_port_get_one_each(self):
        """Listeners are told apart by the address of the unit file, so the second 127.0.0.1:0 was never bound, and nobody said so."""
        daemon = self.daemon({"web": sleeper([tcp("http"), tcp("admin")])})
        self.assertEqual([s["name"] for s in daemon.sockets("web")], ["http", "admin"])

    # ---- SCM_RIGHTS ----

    def frames(self, path, count=1):
        def read():
            if not os.path.exists(path):
                return None
            with open(path) as file:
                lines = [json.loads(line) for line in file.read().splitlines(keepends=True) if line.endswith("\n")]
            return lines if len(lines) >= count else None
        return wait_for("%d frames in %s" % (count, path), read)

    def test_the_python_example_fetches_its_listener_and_loses_nothing(self):
        with open(os.path.join(HERE, "../../examples/python-scm/python-scm.toml")) as file:
            unit = file.read().replace("127.0.0.1:8083", "127.0.0.1:0").replace(
                "/usr/share/holdfast/examples", os.path.join(HERE, "../../examples")).replace("/usr/bin/python3", PYTHON)
        daemon = self.daemon({"scm": unit})
        pid = daemon.pid_of("scm")
        self.assertNotIn("LISTEN_FDS", environment_of(pid))
        self.assertIn("pid=%d" % pid, http_get(daemon.port("scm"))[1])
        load = self.load(daemon.port("scm"), seconds=1)
        while load.is_running():
            self.assert_says(daemon.run("restart", "scm"), 0)
        self.assert_clean(load.finish(), least=100)

    def test_three_hundred_listeners_come_in_batches_of_253(self):
        out = os.path.join(self.folder, "frames")
        unit = unit_text([tcp("many", ["127.0.0.1:0", "127.0.0.2:0"] + ["unix:%s/%d" % (self.folder, i) for i in range(298)])],
                         {"type": "notify", "handoff": ["scm_rights"], "exec_start": [*SCM_WORKER, out, "get many", "--serve"]})
        daemon = self.daemon({"scm": unit})
        self.assertEqual(len(descriptors_of(daemon.pid_of("scm"))), len([0, 1, 2, "handoff", "out", "asked", "wakeup"]))
        first, second = self.frames(out, 2)
        self.assertEqual((first["head"], second["head"]), ("fds 253 47", "fds 47 0"))
        self.assertEqual((first["truncated"], second["truncated"]), (0, 0))
        self.assertEqual(first["names"] + second["names"], ["many"] * 300)
        held = [s["address"].replace("unix:", "") for s in daemon.sockets("scm")]
        self.assertEqual(len(set(first["addresses"] + second["addresses"])), 300)
        self.assertEqual((first["addresses"] + second["addresses"])[:2], held[:2])

    def test_a_listener_that_apply_brings_is_pushed_to_the_worker_that_runs(self):
        out = os.path.join(self.folder, "frames")
        service = {"type": "notify", "handoff": ["scm_rights"], "exec_start": [*SCM_WORKER, out, "get", "--serve"]}
        daemon = self.daemon({"scm": unit_text([tcp("one")], service)})
        pid = daemon.pid_of("scm")
        self.frames(out, 1)
        daemon.write("scm", unit_text([tcp("one"), tcp("two", "127.0.0.2:0")], service))
        self.assert_says(daemon.run("plan"), 0, "two")
        self.assert_says(daemon.run("apply"), 0)
        frames = self.frames(out, 2)
        self.assertEqual((frames[1]["head"], frames[1]["names"]), ("push 1 0", ["two"]))
        self.assertEqual(frames[1]["addresses"], ["127.0.0.2:%d" % daemon.port("scm", "two")])
        self.assertEqual(daemon.pid_of("scm"), pid, "nothing was restarted for it")

    def test_a_listener_that_had_to_be_made_anew_is_pushed_to_the_worker_that_runs(self):
        out, path = os.path.join(self.folder, "frames"), os.path.join(self.folder, "w.sock")
        service = {"type": "notify", "handoff": ["scm_rights"], "exec_start": [*SCM_WORKER, out, "get", "--serve"]}
        daemon = self.daemon({"scm": unit_text([tcp("one", "unix:" + path)], service)})
        self.frames(out, 1)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.connect(os.path.join(daemon.runtime, "handoff.sock"))
            sock.send(b"get scm")
            fds = socket.recv_fds(sock, 65536, 253)[1]
        with socket.socket(fileno=fds[0]) as shared:
            shared.shutdown(socket.SHUT_RDWR)
        frames = self.frames(out, 2)
        self.assertEqual((frames[1]["head"], frames[1]["names"], frames[1]["addresses"]), ("push 1 0", ["one"], [path]))
        self.assertNotIn("socket-renewed", [event["kind"] for event in daemon.call("Events")["events"]])

    def test_a_worker_may_have_both_conventions(self):
        unit = sleeper([tcp("http")], handoff=["listen_fds", "scm_rights"])
        daemon = self.daemon({"both": unit})
        pid = daemon.pid_of("both")
        wait_for("these and no others", lambda: sorted(descriptors_of(pid)) == [0, 1, 2, 3, 4])  # once its libraries are loaded
        environment = environment_of(pid)
        self.assertEqual((environment["LISTEN_FDS"], environment["HOLDFAST_HANDOFF"]), ("1", "4"))

    # ---- handoff.sock ----

    def ask(self, daemon, question, uid=None):
        path = os.path.join(daemon.runtime, "handoff.sock")
        done = subprocess.run([*SCM_WORKER, "-", question, "--share", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False, timeout=20, **as_user(uid))
        self.assertEqual(done.returncode, 0, done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def test_our_own_user_may_fetch_every_units_listeners(self):
        daemon = self.daemon({"web": web(["127.0.0.1:0", "127.0.0.2:0"])})
        frame, = self.ask(daemon, "get web")
        self.assertEqual(frame["head"], "fds 2 0")
        self.assertEqual(frame["names"], ["web/http", "web/http1"])
        self.assertEqual(frame["addresses"], [s["address"] for s in daemon.sockets("web")])
        self.assertEqual(self.ask(daemon, "get web/http1")[0]["addresses"], [daemon.sockets("web")[1]["address"]])
        for question in ("get nothere", "get web/nothere", "get", "sudo get web", "\n", "get " + "x/" * 3):
            self.assertTrue(self.ask(daemon, question)[0]["head"].startswith("error "), question)

    def test_share_names_who_else_may_fetch_them(self):
        self.needs_nobody()
        shared = sleeper([tcp("http")]) + '[share]\nusers = ["nobody"]\n'
        others = sleeper([tcp("http")]) + '[share]\nusers = ["daemon"]\n'
        group = sleeper([tcp("http")]) + '[share]\ngroups = ["%d"]\n' % NOBODY
        daemon = self.daemon({"shared": shared, "others": others, "group": group, "private": sleeper([tcp("http")])})
        frame, = self.ask(daemon, "get shared", NOBODY)
        self.assertEqual((frame["head"], frame["names"]), ("fds 1 0", ["shared/http"]))
        self.assertEqual(self.ask(daemon, "get group/http", NOBODY)[0]["head"], "fds 1 0")
        answers = {unit: self.ask(daemon, "get " + unit, NOBODY)[0] for unit in ("others", "private", "notthere", "shared others")}
        for unit, frame in answers.items():
            self.assertTrue(frame["head"].startswith("error "), (unit, frame))
            self.assertEqual(frame["addresses"], [], unit)
        # A stranger learns nothing about which units there are.
        self.assertEqual(answers["private"]["head"].replace("private", "X"), answers["notthere"]["head"].replace("notthere", "X"))

    def test_garbage_on_handoff_sock_changes_nothing(self):
        daemon = self.daemon({"web": web()})
        before = daemon.descriptors()
        path = os.path.join(daemon.runtime, "handoff.sock")
        with open("/dev/null") as null:
            for i in range(100):
                with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
                    sock.connect(path)
                    try:
                        for junk in (b"\0" * 100, b"\xff\xfe" * 5000, b"get " + b"web " * 2000, b"fds 3 0\nx\ny\nz"):
                            socket.send_fds(sock, [junk], [null.fileno()] * (i % 5))
                    except (BrokenPipeError, ConnectionResetError):
                        pass  # it had enough of us
        silent = []
        for _ in range(200):  # more than it keeps; those who came first have had their turn
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            sock.connect(path)
            silent.append(sock)
        self.assertEqual(self.ask(daemon, "get web")[0]["head"], "fds 1 0")
        self.assertEqual(http_get(daemon.port("web"))[0], 200)
        for sock in silent:
            sock.close()
        wait_for("its descriptors to be as before", lambda: daemon.descriptors() <= before)
        with connect(daemon.port("web")) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            self.assertTrue(client.recv(100))


if __name__ == "__main__":
    main()
