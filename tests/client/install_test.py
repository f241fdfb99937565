# SPDX-License-Identifier: Apache-2.0
"""Installs libholdfast into a folder of its own and uses it as its users will: through pkg-config, shared and static.

Also looks at what the library asks of a system (libc and nothing else) and at what it exports (the header's functions
and nothing else).
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ARGUMENTS = argparse.ArgumentParser()
for option in ("build", "cmake", "cc", "pkg-config"):
    ARGUMENTS.add_argument("--" + option, required=True)
ARGUMENTS.add_argument("--flags", default="")


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode != 0:
        sys.exit("failed: %s\n%s%s" % (" ".join(command), done.stdout, done.stderr))
    return done.stdout


def check(holds, what):
    if not holds:
        sys.exit("not so: " + what)
    print("ok: " + what)


def find(root, name):
    return [os.path.join(folder, name) for folder, _, files in os.walk(root) if name in files]


def run_worker(program, environment):
    """The worker with one listener, as sd_listen_fds(3) has it; the shell writes its own pid and becomes the worker."""
    script = 'LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=http exec "$0" 3</dev/null'
    return run("/bin/sh", "-c", script, program, env=environment)


def main():
    options = ARGUMENTS.parse_args()
    tree = tempfile.mkdtemp(prefix="holdfast-install-")
    try:
        prefix = os.path.join(tree, "usr")
        # --prefix and not the configured one: what is installed must not depend on where it was meant to go.
        run(options.cmake, "--install", options.build, "--component", "client", "--prefix", prefix)
        found = find(prefix, "holdfast.pc")
        check(len(found) == 1, "one holdfast.pc is installed")
        libraries = os.path.dirname(os.path.dirname(found[0]))
        environment = {k: v for k, v in os.environ.items() if k not in ("NOTIFY_SOCKET", "HOLDFAST_HANDOFF")}
        environment["PKG_CONFIG_PATH"] = os.path.dirname(found[0])
        ask = lambda *what: run(options.pkg_config, *what, "holdfast", env=environment).split()
        version = ask("--modversion")[0]
        compile_flags = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
        compile_flags += options.flags.split() + [os.path.join(HERE, "worker.c")] + ask("--cflags")
        expected = "version %s, 1 listeners, http at 3, ready 0\n" % version

        shared = os.path.join(tree, "shared")
        run(options.cc, "-o", shared, *compile_flags, *ask("--libs"))
        with_path = dict(environment, LD_LIBRARY_PATH=libraries)
        check(run_worker(shared, with_path) == expected, "a C program works with the shared library")
        check("libholdfast.so.0" in run("readelf", "-d", shared), "it asks for libholdfast.so.0")

        static = os.path.join(tree, "static")
        run(options.cc, "-o", static, *compile_flags, "-Wl,-Bstatic", *ask("--libs", "--static"), "-Wl,-Bdynamic")
        check(run_worker(static, environment) == expected, "a C program works with the static library")
        check("libholdfast" not in run("readelf", "-d", static), "it asks for no libholdfast")

        library = find(prefix, "libholdfast.so.0")[0]
        needed = set(re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", library)))
        foreign = {name for name in needed if not re.match(r"(libc|ld-linux.*|libasan|libubsan)\.so", name)}
        check(not foreign, "the library needs libc and nothing else %s" % sorted(foreign))
        exported = set(re.findall(r" [TDBVW] (\w+)", run("nm", "-D", "--defined-only", library)))
        with open(os.path.join(prefix, "include", "holdfast.h")) as header:
            declared = set(re.findall(r"^HOLDFAST_API.*?\b(holdfast_\w+)\(", header.read(), re.MULTILINE))
        check(len(declared) > 10 and exported == declared,
              "it exports what the header declares and nothing else %s" % sorted(exported ^ declared))
        cxx = os.path.join(tree, "header.cc")
        with open(cxx, "w") as source:
            source.write('#include <holdfast.h>\nint main() { return holdfast_version() == nullptr; }\n')
        run(options.cc, "-x", "c++", "-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Werror", cxx, *ask("--cflags"))
        check(True, "the header is C++ as well")
    finally:
        shutil.rmtree(tree)


main()
