# SPDX-License-Identifier: Apache-2.0
"""What the distributions' own checks and the linker say of the packages: lint_test.py deb SUITE | rpm
lintian and rpmlint find nothing; programs are hardened, without rpath, stripped, and their debug symbols are in packages of their own."""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

from packages import HERE, NAMES, built, package


def said(*command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, **options)


def check(holds, what):
    if not holds:
        sys.exit("not so: " + what)
    print("ok: " + what)


def lint_deb(folder):
    paths = sorted(glob.glob(folder + "/*.deb"))
    done = said("lintian", "--display-info", "--pedantic", "--fail-on", "error,warning,info,pedantic",
                # Not words: texts that the compiler puts one behind the other, each compiler others.
                "--suppress-tags", "spelling-error-in-binary", "--allow-root", *paths)
    check(done.returncode == 0 and not re.search("^[EWIP]:", done.stdout, re.M), "lintian finds nothing in %d packages\n%s" % (len(paths), done.stdout))
    overrides = said("lintian", "--show-overrides", "--display-info", "--pedantic", "--allow-root", *paths).stdout
    print("".join("   overridden: %s\n" % line for line in overrides.splitlines() if line.startswith("O:")), end="")


def lint_rpm(folder):
    paths = sorted(glob.glob(folder + "/*.rpm"))
    done = said("rpmlint", "--strict", "--config", os.path.join(HERE, "rpmlint.toml"), *paths)
    check(done.returncode == 0, "rpmlint finds nothing in %d packages\n%s" % (len(paths), done.stdout))


def unpack(folder, kind, to):
    for name in NAMES[kind]:
        if kind == "deb":
            subprocess.run(["dpkg-deb", "--extract", package(folder, name), to], check=True)
        else:
            subprocess.run("rpm2cpio '%s' | cpio --extract --make-directories --quiet" % package(folder, name), shell=True, cwd=to, check=True)


def elf_files(tree):
    for folder, _, names in os.walk(tree):
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.islink(path):
                with open(path, "rb") as file:
                    if file.read(4) == b"\x7fELF":
                        yield path


def look_at(path, tree):
    name = path[len(tree):]
    dynamic, headers, symbols = (said("readelf", "--wide", option, path).stdout for option in ("--dynamic", "--program-headers", "--dyn-syms"))
    sections = said("readelf", "--wide", "--sections", path).stdout
    check("Type:" in said("readelf", "--file-header", path).stdout and "DYN" in said("readelf", "--file-header", path).stdout, name + " is position-independent")
    check(not re.search("R(UN)?PATH", dynamic), name + " has no rpath")
    check("GNU_RELRO" in headers and re.search("BIND_NOW|FLAGS.*NOW", dynamic), name + " is read-only where it is relocated")
    check(re.search(r"GNU_STACK.* RW ", headers), name + " has no executable stack")
    check(".debug_info" not in sections and ".symtab" not in sections, name + " is stripped")
    if "holdfast-keeper" not in name:  # it has no array on its stack that would want it, or the library's does
        check("__stack_chk_fail" in symbols, name + " watches its stack")
    check(re.search(r" __(?!stack)\w+_chk\b", symbols), name + " calls the checking functions of the library (_FORTIFY_SOURCE)")
    needed = set(re.findall(r"NEEDED.*\[(.*?)\.so", dynamic))
    allowed = {"libc", "libm", "ld-linux-x86-64", "libsystemd"} | ({"libstdc++", "libgcc_s"} if "webserver" in name else set())
    check(needed <= allowed, "%s needs %s" % (name, sorted(needed)))


def main(kind, suite):
    tools = {"deb": ("lintian", "dpkg-deb", "readelf"), "rpm": ("rpmlint", "rpm2cpio", "cpio", "readelf")}[kind]
    for tool in tools:
        if shutil.which(tool) is None:
            print("skipped: %s is not installed (tests/install-dependencies.sh packaging)" % tool)
            sys.exit(77)
    folder = built(suite, kind)
    with tempfile.TemporaryDirectory(prefix="hf-lint-") as tree:
        unpack(folder, kind, tree)
        for path in elf_files(tree):
            look_at(path, tree)
    names = [os.path.basename(path) for path in glob.glob(folder + "/*." + kind)]
    for name in {"deb": ("holdfast-dbgsym", "libholdfast0-dbgsym"), "rpm": ("holdfast-debuginfo",)}[kind]:
        path = next((folder + "/" + found for found in names if found.startswith(name)), None)
        check(path, "there is a package %s" % name)
        listed = said("dpkg-deb", "--contents", path).stdout if kind == "deb" else said("rpm", "--query", "--list", "--package", path).stdout
        check(len(re.findall(r"/usr/lib/debug/.*\.debug", listed)) >= (4 if name == "holdfast-dbgsym" else 1), "it has the debug symbols")
    {"deb": lint_deb, "rpm": lint_rpm}[kind](folder)


if __name__ == "__main__":
    if sys.argv[1:2] not in (["deb"], ["rpm"]):
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "bookworm")
