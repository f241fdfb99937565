# SPDX-License-Identifier: Apache-2.0
"""What the verbs print on a terminal of 80 by 24 and in a pipe: widths, colours, progress."""
import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

from harness import DEADLINE, Story, main, program, tcp, unit_text, wait_for, web

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
ACCEPTING = unit_text([tcp(non_blocking=False)], {"exec_start": ["/bin/cat"], "accept": True, "handoff": "inetd", "restart": "no"}).replace(
    "[rollout]\nprobation = \"0s\"\n", "")
LONG = "unix:/tmp/a/folder/that/does/not/exist/and/has/a/name/that/is/long/as/well.sock"


def on_terminal(command, columns=80, lines=24, **environment):
    """(status, what it prints) of a command on a terminal of its own."""
    primary, secondary = pty.openpty()
    fcntl.ioctl(secondary, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    variables = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS")}
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=secondary, stderr=secondary,
                               env={**variables, "TERM": "xterm", **environment})
    os.close(secondary)
    text, end = b"", time.monotonic() + DEADLINE
    try:
        while True:
            if time.monotonic() > end:
                process.kill()
                raise AssertionError("%s did not end: %r" % (command, text))
            if select.select([primary], [], [], 0.1)[0]:
                try:
                    more = os.read(primary, 65536)
                except OSError:  # EIO: nobody has the terminal any more
                    break
                if not more:
                    break
                text += more
    finally:
        os.close(primary)
    return process.wait(DEADLINE), text.decode().replace("\r\n", "\n")


class Output(Story):
    VERBS = [["status"], ["status", "web"], ["status", "busy"], ["status", "echo"], ["status", "shards"], ["list"], ["sockets"], ["sockets", "shards"], ["plan"],
             ["apply"], ["events"], ["trace", "web"], ["restart", "web"], ["restart", "web", "--strategy", "rolling"], ["rollout", "status", "web"],
             ["rollout", "history", "web"], ["report", "web"], ["reload", "web"], ["scale", "web", "2"], ["pause", "web"], ["resume", "web"],
             ["stop", "web"], ["start", "web"], ["start", "busy"], ["start", "nobody"], ["version"], ["timeline", "web", "--svg", "/dev/null"], ["--help"], ["run", "--help"]]

    def everything(self):
        bad = "[service]\nexec_strat = ['/bin/true']\n"
        units = {"web": web(), "echo": ACCEPTING, "busy": web(LONG), "bad": bad, "shards": web(socket_more={"reuse_port": True}, workers=4)}
        units["web"] = "[unit]\ndescription = \"%s\"\n" % ("A storefront with a long description " * 4) + units["web"]
        daemon = self.daemon(units, active=["web", "shards"])
        self.command = [program("holdfast"), "--runtime-dir", daemon.runtime]
        return daemon

    def test_no_line_is_wider_than_the_terminal(self):
        self.everything()
        for verb in self.VERBS:
            with self.subTest(" ".join(verb)):
                if verb[0] == "trace":
                    continue  # a test replays its lines as they are
                _, text = on_terminal([*self.command, *verb])
                self.assertTrue(text or verb[0] == "timeline")
                for line in text.splitlines():
                    if "/" in line.strip() and " " not in ESCAPE.sub("", line).strip():
                        continue  # one path
                    self.assertLessEqual(len(ESCAPE.sub("", line)), 80, line)

    def test_colour_is_for_terminals_that_want_it(self):
        self.everything()
        coloured = 0
        for verb in self.VERBS:
            with self.subTest(" ".join(verb)):
                coloured += "\x1b" in on_terminal([*self.command, *verb])[1]
                for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
                    self.assertNotIn("\x1b", on_terminal([*self.command, *verb], **environment)[1])
                piped = subprocess.run([*self.command, *verb], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=DEADLINE,
                                       check=False, env={**os.environ, "TERM": "xterm"})
                self.assertNotIn("\x1b", piped.stdout)
        self.assertGreater(coloured, 10)

    def test_in_a_pipe_nothing_is_cut(self):
        daemon = self.everything()
        for verb in (["status"], ["sockets"], ["status", "busy"]):
            self.assertIn("that/is/long/as/well.sock", daemon.run(*verb).out)
        self.assertIn("description A storefront with a long description", daemon.run("list").out)

    def test_the_status_of_a_unit_fits_one_screen_and_says_what_to_type_next(self):
        self.everything()
        for name, lines in (("web", 24), ("shards", 24), ("echo", 24), ("shards", 16)):
            with self.subTest(name + " %d" % lines):
                status, text = on_terminal([*self.command, "status", name], lines=lines, NO_COLOR="1")
                self.assertEqual(status, 0, text)
                self.assertLessEqual(len(text.splitlines()), lines - 1, text)
                self.assertRegex(text, r"(?m)^  state +\S+ since .*")
                self.assertRegex(text, r"(?m)^  next +holdfast ")
                self.assertIn("QUEUE", text)

    def test_the_status_shows_the_last_lines_of_the_log_of_its_workers(self):
        said = unit_text([], {"exec_start": ["/bin/sh", "-c", "for n in $(seq 30); do echo line $n; done; exec sleep 1000"]})
        daemon = self.daemon({"talker": said}, options=())
        if daemon.unit("talker")["output"] != "file":
            self.skip("there is a journal")
        wait_for("its last line", lambda: "line 30\n" in daemon.run("status", "talker").out)
        answer = daemon.run("status", "talker")
        self.assertIn("LAST LINES OF ITS LOG\n  line 21\n", answer.out)
        self.assertIn("  line 30\n", answer.out)
        self.assertNotIn("line 20\n", answer.out)
        (unit,) = json.loads(daemon.run("--json", "status", "talker").out)["units"]
        self.assertEqual(unit["log_lines"], ["line %d" % n for n in range(21, 31)])
        self.assertEqual(unit["next"], ["holdfast restart talker", "holdfast events --follow talker"])

    def test_progress_is_a_line_for_each_step_on_a_terminal_and_in_a_pipe(self):
        daemon = self.daemon({"web": web()})
        self.command = [program("holdfast"), "--runtime-dir", daemon.runtime]
        _, terminal = on_terminal([*self.command, "restart", "web"], NO_COLOR="1")
        piped = daemon.run("restart", "web").out
        for text in (terminal, piped):
            steps = re.findall(r"(?m)^ *\+\d+\.\d{3}s  web: \S", text)
            self.assertGreater(len(steps), 2, text)
            self.assertNotIn("\r", text)
        self.assertEqual(re.findall(r"(?m)^ *\+", daemon.run("restart", "web", "-q").out), [])


if __name__ == "__main__":
    main()
