# SPDX-License-Identifier: Apache-2.0
"""The completions of bash, zsh and fish, each in its own shell, with a daemon and without."""
import os
import pty
import re
import select
import shutil
import socket
import subprocess
import time

from harness import DEADLINE, Story, main, program, tcp, unit_text, web

COMPLETIONS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "src", "cli", "completions")


def completions_of(shell, folder, line):
    """What `shell` offers at the end of `line`."""
    environment = {**os.environ, "PATH": "%s:%s" % (os.environ["HOLDFAST_BIN"], os.environ["PATH"]), "HOME": folder, "LC_ALL": "C.UTF-8"}
    script = {"bash": BASH, "fish": FISH}[shell]
    answer = subprocess.run([shell, *script, line], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=DEADLINE, check=False,
                            env=environment, cwd=folder)
    assert answer.returncode == 0, answer
    assert answer.stderr == "", answer
    return [text.split("\t")[0].rstrip(" ") for text in answer.stdout.splitlines()]


# As readline does: it cuts the line at COMP_WORDBREAKS as well, and the completions stand for the last part.
BASH = ["--norc", "--noprofile", "-c", r"""
source "$0"
COMP_LINE=$1 COMP_POINT=${#1}
mapfile -t COMP_WORDS < <(printf %s "$1" | grep -oE '[^][:space:]:=@]+|[:=@]+')
[[ $1 == *[[:space:]] ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_holdfast holdfast
[ ${#COMPREPLY[@]} -eq 0 ] || printf '%s\n' "${COMPREPLY[@]}"
""", os.path.join(COMPLETIONS, "holdfast.bash")]
FISH = ["--no-config", "-c", "source %s; complete -C $argv[1]" % os.path.join(COMPLETIONS, "holdfast.fish")]


class Zsh:
    """An interactive zsh on a terminal; what a line becomes after a tabulator."""

    def __init__(self, folder):
        self.text = ""
        pid, self.fd = pty.fork()
        if pid == 0:
            os.chdir(folder)
            os.environ.update(PATH="%s:%s" % (os.environ["HOLDFAST_BIN"], os.environ["PATH"]), HOME=folder, TERM="dumb", LC_ALL="C.UTF-8")
            os.execvp("zsh", ["zsh", "-f", "-i"])
        self.pid = pid
        self.ask("unsetopt zle_bracketed_paste 2>/dev/null; PS1='<ready>'; LISTMAX=1000; bindkey '^I' list-choices; fpath=(%s $fpath); "
                 "autoload -U compinit; compinit -D -u; echo com''pinit\n" % COMPLETIONS, "compinit\r\n")

    def ask(self, line, until):
        self.text = ""
        os.write(self.fd, line.encode())
        limit = time.monotonic() + DEADLINE
        while not re.search(until, self.text):
            assert time.monotonic() < limit, "zsh says only: " + self.text
            if select.select([self.fd], [], [], 0.1)[0]:
                self.text += os.read(self.fd, 65536).decode(errors="replace")
        return self.text

    def close(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


class Completion(Story):
    def offered(self, shell, line, folder=None):
        return completions_of(shell, folder or self.folder, line)

    def in_both(self, line, *expected):
        for shell in ("bash", "fish"):
            if shutil.which(shell) is None:
                print("skipped: %s is not installed" % shell)
                continue
            with self.subTest(shell=shell, line=line):
                self.assertEqual(sorted(self.offered(shell, line)), sorted(expected))

    def test_verbs_options_and_their_values(self):
        self.in_both("holdfast resta", "restart")
        self.in_both("holdfast restart --strat", "--strategy")
        self.in_both("holdfast restart --strategy ro", "rolling")
        self.in_both("holdfast rollout un", "undo")
        self.in_both("holdfast nonsense ")

    def test_units_of_the_daemon(self):
        daemon = self.daemon({"web": web(), "web@2:b": web(), "db": web()}, active=["web", "db"])
        start = "holdfast --runtime-dir %s " % daemon.runtime
        self.in_both(start + "restart w", "web", "web@2:b")
        self.in_both(start + "restart web d", "db")
        self.in_both(start + "status db ", "web", "web@2:b")
        self.in_both(start + "sockets web --name h", "http")
        self.in_both(start + "show web --key service.worke", "service.workers")
        # bash puts what it gets behind the last : = or @.
        self.assertEqual(self.offered("bash", start + "stop web@2:"), ["b"])
        self.assertEqual(self.offered("bash", start + "stop web@"), ["2:b"])
        self.assertEqual(self.offered("bash", start + "restart --strategy=ro"), ["rolling"])

    def test_a_name_that_a_shell_would_run_is_quoted(self):
        wild = 'a;b$(x)&\\'
        daemon = self.daemon({"odd": unit_text([tcp(wild)], {"type": "notify", "exec_start": [program("holdfast-webserver")]})})
        line = "holdfast --runtime-dir %s sockets odd --name " % daemon.runtime
        (offered,) = self.offered("bash", line)
        echoed = subprocess.run(["bash", "-c", "printf %s " + offered], stdout=subprocess.PIPE, text=True, check=True).stdout
        self.assertEqual(echoed, wild)
        if shutil.which("zsh"):
            zsh = Zsh(self.folder)
            try:
                zsh.ask(line + "\t", re.escape(wild))
            finally:
                zsh.close()

    def test_without_a_daemon_nothing_is_said_and_it_is_quick(self):
        self.in_both("holdfast --runtime-dir /nonexistent restart ")
        with socket.socket(socket.AF_UNIX) as deaf:  # it takes the question and never answers
            deaf.bind(os.path.join(self.folder, "control.sock"))
            deaf.listen()
            began = time.monotonic()
            self.in_both("holdfast --runtime-dir %s restart " % self.folder)
            self.assertLess(time.monotonic() - began, DEADLINE)

    def test_verify_gets_units_and_files(self):
        os.mkdir(os.path.join(self.folder, "units"))
        for name in ("units/one.toml", "units/two.toml", "other.toml"):
            with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
                file.write("[service]\nexec_start = ['/bin/true']\n")
        self.in_both("holdfast verify --unit-dir units o", "one", "other.toml")
        self.assertEqual(self.offered("bash", "holdfast verify --unit-dir un"), ["units"])
        if shutil.which("fish"):
            self.assertEqual(self.offered("fish", "holdfast verify --unit-dir un"), ["units/"])

    def test_the_program_of_run(self):
        with open(os.path.join(self.folder, "holdfast-test-program"), "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n")
        os.chmod(file.name, 0o755)
        os.environ["PATH"] += ":" + self.folder
        self.addCleanup(os.environ.__setitem__, "PATH", os.environ["PATH"].rsplit(":", 1)[0])
        self.in_both("holdfast run --listen 80 -- holdfast-test-p", "holdfast-test-program")

    def test_zsh(self):
        if shutil.which("zsh") is None:
            self.skipTest("zsh is not installed")
        daemon = self.daemon({"web": web(), "web@2:b": web(), "db": web()}, active=["web", "db"])
        zsh = Zsh(self.folder)
        try:
            self.assertRegex(zsh.ask("holdfast res\t", "resume"), r"restart +-- Replace the workers")
            said = zsh.ask("\x15holdfast --runtime-dir %s restart \t" % daemon.runtime, "web@2:b")
            self.assertRegex(said, r"db +-- active")
            self.assertIn("replace", zsh.ask("\x15holdfast restart --strategy r\t", "rolling"))
        finally:
            zsh.close()


if __name__ == "__main__":
    main()
