# SPDX-License-Identifier: Apache-2.0
"""A worker that dumps core is replaced when the dump begins, not when it has been written."""
import os
import re
import signal

from harness import Story, http_get, main, wait_for, web


class CoreDump(Story):
    SIZE = 600 << 20

    def large(self):
        """A daemon with one worker that holds SIZE bytes, and the folder where it dumps core."""
        script = os.path.join(self.folder, "large.py")
        with open(script, "w", encoding="utf-8") as file:
            file.write(LARGE % self.SIZE)
        cores = os.path.join(self.folder, "cores")
        os.mkdir(cores)
        unit = web(type="notify", working_directory=cores, limits={"core": "infinity"})
        unit = re.sub(r"exec_start = .*", 'exec_start = ["/usr/bin/python3", "%s"]' % script, unit)
        return self.daemon({"web": unit}), cores

    def test_the_replacement_serves_before_the_core_is_written(self):
        self.needs_root("the process connector needs CAP_NET_ADMIN")
        with open("/proc/sys/kernel/core_pattern", encoding="ascii") as file:
            if not re.fullmatch(r"core(\.%p)?", file.read().strip()):
                self.skip("core_pattern puts cores elsewhere")
        if os.stat("/proc/self/ns/pid").st_ino != 0xeffffffc:
            self.skip("a pid namespace of its own: the process connector speaks of the first one")
        daemon, cores = self.large()
        first = daemon.pid_of("web")
        self.assertEqual(http_get(daemon.port("web"))[1], "%d\n" % first)
        os.kill(first, signal.SIGSEGV)
        ready = daemon.wait_event("worker-ready", where=lambda event: event["pid"] != first)
        written = daemon.wait_event("core-written")
        self.assertLess(ready["monotonic_usec"], written["monotonic_usec"])
        self.assertIn("to dump its core", written["text"])
        self.assertEqual(written["pid"], first)
        self.assertGreater(sum(os.stat(os.path.join(cores, name)).st_size for name in os.listdir(cores) if name != "first"), self.SIZE)
        self.assertEqual(http_get(daemon.port("web"))[1], "%d\n" % daemon.pid_of("web"))
        died = daemon.wait_event("worker-died")
        self.assertIn("its core is being written", died["text"])

    def test_one_that_dumps_nothing_is_told_with_its_signal(self):
        daemon = self.daemon({"web": web(limits={"core": 0})})
        first = daemon.pid_of("web")
        os.kill(first, signal.SIGABRT)  # the sanitizers see to SIGSEGV themselves
        died = daemon.wait_event("worker-died")
        self.assertIn("SIGABRT", died["text"])
        wait_for("another worker", lambda: [w["state"] for w in daemon.workers("web") if w["pid"] != first] == ["ready"])


LARGE = '''
import os, select, socket
# Only the first is large: its successor is to be up in no time.
memory = b"" if os.path.exists("first") else b"x" * %d
open("first", "w").close()
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
    notify.connect(os.environ["NOTIFY_SOCKET"])
    notify.send(b"READY=1")
listener = socket.socket(fileno=3)
while select.select([listener], [], []):
    try:
        connection, _ = listener.accept()
    except BlockingIOError:
        continue
    with connection:
        connection.recv(4096)
        body = b"%%d\\n" %% os.getpid()
        connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %%d\\r\\nConnection: close\\r\\n\\r\\n%%s" %% (len(body), body))
'''

if __name__ == "__main__":
    main()
