# SPDX-License-Identifier: Apache-2.0
"""The examples of the manual pages, as they stand there. Those of holdfast.unit(5) and holdfast.toml(5) are in tests/man; process 1 of a
container (holdfast-keeper(8), holdfastd(8)) in container_test.py; SIGUSR2 to every keeper of the machine is none for a test."""
import json
import os
import re
import shutil
import signal
import subprocess

from harness import DEADLINE, PYTHON, ROOT, Story, connect, free_port, http_get, main, program, tcp, unit_text, wait_for, web


def examples(page):
    """Each command or text of EXAMPLES."""
    with open(os.path.join(ROOT, "man", page), encoding="utf-8") as file:
        text = re.search(r"^\.Sh EXAMPLES\n(.*?)^\.Sh ", file.read(), re.M | re.S).group(1)
    blocks = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed$|^\.Dl ([^\n]*)$", text, re.M | re.S)
    return [re.sub(r"\\([e-])", lambda match: {"e": "\\", "-": "-"}[match.group(1)], block or line) for block, line in blocks]


def commands(block):
    """Without their prompts."""
    return [line[2:] for line in block.splitlines() if line[:2] in ("$ ", "# ")]


class Manual(Story):
    def shell(self, command, **more):
        ran = subprocess.run(["/bin/bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=DEADLINE,
                             check=False, cwd=self.folder, env={**os.environ, "PATH": self.path()}, **more)
        self.assertEqual(ran.returncode, 0, command + "\n" + ran.stdout)
        return ran.stdout

    def path(self):
        return "%s:%s" % (os.environ["HOLDFAST_BIN"], os.environ["PATH"])

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def test_run_restarts_its_program_whenever_it_is_built_anew(self):
        command = commands("$ " + examples("holdfast.1")[0][2:])[0]
        port = free_port()
        app = self.write("app", "#!/bin/sh\nexec %s --release 1\n" % program("holdfast-webserver"))
        os.chmod(app, 0o755)
        runtime = os.path.join(self.folder, "run")
        command = command.replace("8080", str(port)).replace("holdfast run", "exec holdfast --runtime-dir %s run" % runtime)
        log = open(os.path.join(self.folder, "log"), "wb")  # pylint: disable=consider-using-with
        self.addCleanup(log.close)
        process = subprocess.Popen(["/bin/bash", "-c", command], cwd=self.folder, stdout=log, stderr=log,
                                   env={**os.environ, "PATH": self.path()})
        try:
            def release(number):
                try:
                    return "release=" + number in http_get(port)[1]
                except OSError:
                    return False
            wait_for("release 1", lambda: release("1"))
            with open(app + ".new", "w", encoding="utf-8") as file:
                file.write("#!/bin/sh\nexec %s --release 2\n" % program("holdfast-webserver"))
            os.chmod(app + ".new", 0o755)
            os.rename(app + ".new", app)
            wait_for("release 2", lambda: release("2"))
        finally:
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(DEADLINE), 0)

    def test_verify_plan_apply_restart_and_status(self):
        daemon = self.daemon({"web": web()})
        _, change, restart, pids = examples("holdfast.1")
        self.write("web.toml", web(release="2"))
        for command in commands(change) + commands(restart):
            command = command.replace("/etc/holdfast/units/", daemon.units).replace("holdfast ", "holdfast --runtime-dir %s " % daemon.runtime)
            said = self.shell(command)
            self.assertNotIn("the old release serves on", said)
        self.assertIn("release=2", http_get(daemon.port("web"))[1])
        if shutil.which("jq") is None:
            self.skip("jq is not installed")
        said = self.shell(commands(pids)[0].replace("holdfast ", "holdfast --runtime-dir %s " % daemon.runtime))
        self.assertEqual([int(line) for line in said.split()], [w["pid"] for w in daemon.workers("web")])

    def test_a_daemon_of_ones_own(self):
        start, look = commands(examples("holdfastd.8")[-1])
        os.mkdir(os.path.join(self.folder, "units"))
        self.write("units/web.toml", web())
        self.assertIn("/tmp/hf-$USER", start)
        start, look = (command.replace("/tmp/hf-$USER", self.folder + "/run") for command in (start, look))
        with open(os.path.join(self.folder, "log"), "wb") as log:
            process = subprocess.Popen(["/bin/bash", "-c", "exec " + start], cwd=self.folder, stdout=log, stderr=log,
                                       env={**os.environ, "PATH": self.path()})
        try:
            wait_for("its control socket", lambda: os.path.exists(self.folder + "/run/control.sock"))
            self.assertIn("web", self.shell(look))
        finally:
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(DEADLINE), 0)

    def test_a_worker_in_python_that_asks_for_its_listener(self):
        path = self.write("worker.py", examples("holdfast-handoff.7")[0])
        daemon = self.daemon({"hello": unit_text([tcp(non_blocking=False)], {"type": "notify", "exec_start": [PYTHON, path], "handoff": ["scm_rights"]})})
        with connect(daemon.port("hello")) as client:
            self.assertEqual(client.recv(100), b"hello\n")

    def test_a_worker_in_c(self):
        library = os.path.join(os.environ["HOLDFAST_BIN"], "..", "lib", "libholdfast.so")
        if shutil.which("cc") is None or not os.path.exists(library):
            self.skip("there is no C compiler, or no libholdfast")
        flags = ["-fsanitize=address,undefined"] if os.environ.get("HOLDFAST_TIME_FACTOR", "1") != "1" else []
        source = self.write("worker.c", examples("libholdfast.3")[0])
        worker = os.path.join(self.folder, "worker")
        subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", *flags, "-I", os.path.join(ROOT, "src", "client"), source, "-o", worker, library,
                        "-Wl,-rpath," + os.path.dirname(os.path.abspath(library))], check=True, timeout=DEADLINE)
        daemon = self.daemon({"c": unit_text([tcp(non_blocking=False)], {"type": "notify", "exec_start": [worker]})})
        with connect(daemon.port("c")) as client:
            self.assertEqual(client.recv(100), b"")

    def test_every_example_of_every_page_is_run_by_a_test(self):
        """So that a new one is not forgotten: how many each page has."""
        count = {page: len(examples(page)) for page in sorted(os.listdir(os.path.join(ROOT, "man")))
                 if page[-1].isdigit() and page != "holdfast-keeper.8"}
        self.assertEqual(json.loads(json.dumps(count)), {"holdfast-handoff.7": 1, "holdfast.1": 4, "holdfastd.8": 1, "libholdfast.3": 1})


if __name__ == "__main__":
    main()
