# SPDX-License-Identifier: Apache-2.0
"""`listen = "inherit:NAME"`: sockets that whoever started holdfast has bound and passed (LISTEN_FDS), as a .socket unit of systemd does."""
import json
import os
import signal
import socket
import subprocess

from harness import PYTHON, Story, children_of, command_of, http_get, main, program, wait_for, web

# Binds, passes, and becomes the rest of its arguments; what it bound is in a file.
PASSING = r"""
import json, os, socket, sys
names, ports = json.loads(sys.argv[1]), []
for number, (name, kind) in enumerate(names):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
    sock.bind(("127.0.0.1", 0))
    if kind == "tcp":
        sock.listen(128)
    ports.append(sock.getsockname()[1])
    os.dup2(sock.fileno(), 100 + number)
for number in range(len(names)):
    os.dup2(100 + number, 3 + number)
    os.close(100 + number)
with open(sys.argv[2] + ".new", "w") as file:
    json.dump(ports, file)
os.rename(sys.argv[2] + ".new", sys.argv[2])  # whoever sees it reads all of it
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(names)), LISTEN_FDNAMES=":".join(name for name, _ in names))
os.execvp(sys.argv[3], sys.argv[3:])
"""


class Inherit(Story):
    def below(self, passed, units, keeper=True, **more):
        path = os.path.join(self.folder, "ports")
        daemon = self.daemon(units, wrapper=[PYTHON, "-c", PASSING, json.dumps(passed), path, *([program("holdfast-keeper"), "--"] if keeper else [])],
                             **more)
        with open(path, encoding="utf-8") as file:
            return daemon, json.load(file)

    def assert_served(self, port):
        self.assertEqual(http_get(port)[0], 200)

    def test_a_unit_uses_what_was_passed_with_and_without_a_keeper(self):
        for keeper in (True, False):
            daemon, ports = self.below([("http", "tcp")], {"web": web("inherit:http")}, keeper=keeper)
            self.assertEqual([(row["port"], row["state"], row["transport"]) for row in daemon.sockets("web")], [(ports[0], "held", "tcp")])
            self.assert_served(ports[0])
            self.assert_says(daemon.run("restart", "web"), 0)
            self.assert_served(ports[0])
            self.assert_says(daemon.run("plan"), 0, "Nothing would change.")
            self.assertEqual(daemon.end(), 0)

    def test_all_of_one_name_are_used(self):
        daemon, ports = self.below([("http", "tcp"), ("other", "tcp"), ("http", "tcp")], {"web": web("inherit:http")})
        self.assertEqual([row["port"] for row in daemon.sockets("web")], [ports[0], ports[2]])
        self.assert_served(ports[0])
        self.assert_served(ports[2])
        self.assert_says(daemon.run("plan"), 0, "Nothing would change.")

    def test_they_are_there_again_after_a_killed_holdfastd(self):
        daemon, ports = self.below([("http", "tcp")], {"web": web("inherit:http")})
        pid = daemon.pid_of("web")
        for _ in range(2):
            killed = [p for p in children_of(daemon.pid) if "holdfastd" in command_of(p)][0]
            os.kill(killed, signal.SIGKILL)
            wait_for("the next holdfastd", lambda k=killed: [p for p in children_of(daemon.pid) if "holdfastd" in command_of(p) and p != k]
                     and daemon.run("status").status == 0)
            self.assertEqual(daemon.pid_of("web"), pid)
            self.assertEqual([row["port"] for row in daemon.sockets("web")], [ports[0]])
        self.assert_says(daemon.run("restart", "web"), 0)
        self.assert_served(ports[0])

    def test_one_that_is_missing_is_told_and_hurts_nobody_else(self):
        daemon, ports = self.below([("http", "tcp"), ("talk", "udp"), ("bound", "unlistened")],
                                   {"web": web("inherit:http"), "bad": web("inherit:htpp"), "mute": web("inherit:bound")}, active=["web"])
        self.assert_served(ports[0])
        self.assertIn("no socket of that name was passed", daemon.sockets("bad")[0]["problem"])
        self.assertIn("nobody has called listen(2)", daemon.sockets("mute")[0]["problem"])
        self.assert_says(daemon.run("start", "bad"), 1, "inherit:htpp", "FileDescriptorName=")

    def test_an_apply_may_give_it_up_and_take_it_again(self):
        daemon, ports = self.below([("http", "tcp")], {"web": web("inherit:http")})
        with socket.create_connection(("127.0.0.1", ports[0])):
            daemon.write("web", web("127.0.0.1:0"))
            self.assert_says(daemon.run("apply"), 0)
        waiting = socket.create_connection(("127.0.0.1", ports[0]))  # who passed it holds it: it waits
        waiting.sendall(b"GET / HTTP/1.0\r\n\r\n")
        daemon.write("web", web("inherit:http"))
        self.assert_says(daemon.run("apply"), 0)
        waiting.settimeout(20)
        self.assertTrue(waiting.recv(100).startswith(b"HTTP/1.1 200"))
        waiting.close()

    def test_run_uses_them_too(self):
        path = os.path.join(self.folder, "ports")
        with subprocess.Popen([PYTHON, "-c", PASSING, json.dumps([("http", "tcp")]), path, program("holdfast"), "run", "--listen", "inherit:http",
                               "--", program("holdfast-webserver")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                def is_served():
                    if not os.path.exists(path):
                        return False
                    with open(path, encoding="utf-8") as file:
                        return http_get(json.load(file)[0])[0] == 200
                wait_for("an answer", is_served)
            finally:
                process.terminate()


if __name__ == "__main__":
    main()
