# SPDX-License-Identifier: Apache-2.0
"""The packages under test: built by packaging/build.sh in a root file system that has what it installs, once for each state of the source;
and others made of them, newer or broken, without compiling."""
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "systemd"))

from machine import root_file_system  # noqa: E402

STORE = os.path.join(ROOT, "build", "packages")
NAMES = {"deb": ("holdfast", "libholdfast0", "libholdfast-dev"), "rpm": ("holdfast", "libholdfast0", "libholdfast-devel")}
# What has a say in the packages.
SOURCES = ["CHANGELOG.md", "CMakeLists.txt", "LICENSE", "README.md", "examples", "man", "packaging", "src", "units", "tests/install-dependencies.sh"]
DATE = "1767225600"
CACHED = "WORK_FOLDER=/build CCACHE_DIR=/ccache CCACHE_MAXSIZE=2G CMAKE_C_COMPILER_LAUNCHER=ccache CMAKE_CXX_COMPILER_LAUNCHER=ccache"
NOT = 'not() {\n    if "$@"; then return 1; fi\n}\n'
AGAIN = "TZ=Asia/Tokyo LC_ALL=C HOME=/nowhere TMPDIR=/var/tmp; umask 077"


def version():
    with open(os.path.join(ROOT, "CMakeLists.txt"), encoding="utf-8") as file:
        return re.search(r"^project\(holdfast VERSION (\S+)", file.read(), re.M).group(1)


def newer():
    """As long as this one, so that it can be written over it in a program."""
    first, digit = version()[:-1], int(version()[-1])
    assert digit < 9, "write it by another digit"
    return first + str(digit + 1)


def source_files():
    for name in SOURCES:
        path = os.path.join(ROOT, name)
        if os.path.isfile(path):
            yield name
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(set(folders) - {"__pycache__"})
            yield from (os.path.relpath(os.path.join(folder, name), ROOT) for name in sorted(names) if not name.endswith(".pyc"))


def state_of_source():
    digest = hashlib.sha256()
    for name in source_files():
        digest.update(name.encode() + b"\0" + hashlib.sha256(open(os.path.join(ROOT, name), "rb").read()).digest())
    return digest.hexdigest()[:16]


def build_root(suite):
    """Of that Debian, with what building packages needs."""
    done = subprocess.run([ROOT + "/tests/install-dependencies.sh", "--list", "package"], stdout=subprocess.PIPE, text=True, check=True)
    path, why = root_file_system(suite, [*done.stdout.split(), "ccache"])
    if why:
        raise RuntimeError(why)
    return path


def in_room(root, command, binds=None, check=True):
    """The words and the status of a shell script in a chroot; binds: {folder: place}. `not CMD` in it fails where the command succeeds."""
    careless = re.search(r"^\s*! |\) ! |\| *tee\b", command, re.M)
    assert not careless, "a shell passes this over, whatever comes of it: " + command
    done = subprocess.run([HERE + "/room.sh", root, *("%s=%s" % pair for pair in (binds or {}).items()), "--", "/bin/sh", "-ec", NOT + command],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if check and done.returncode != 0:
        raise RuntimeError("%s\nended with %d:\n%s" % (command, done.returncode, done.stdout[-6000:]))
    return done


def export(folder):
    """The source without git, as a release would be."""
    for name in source_files():
        os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
        shutil.copy(os.path.join(ROOT, name), os.path.join(folder, name))


def built(suite, kind, again=False):
    """The folder with the packages. The compiler is given its cache, unless they are built again to see whether they become the same: then
    there is none, and the source, the folder it is built in and what the environment has to say are others."""
    place = "/home/somebody/else" if again else "/source"
    folder = os.path.join(STORE, "%s-%s-%s%s" % (state_of_source(), suite, kind, place.replace("/", "-")))
    if not os.path.isdir(folder):
        print("building .%s packages in %s, the source at %s (minutes)" % (kind, suite, place), flush=True)
        root = build_root(suite)
        shutil.rmtree(folder + ".new", ignore_errors=True)
        os.makedirs(folder + ".new")
        with tempfile.TemporaryDirectory(prefix="hf-source-") as source:
            export(source)
            os.makedirs(STORE + "/ccache", exist_ok=True)
            in_room(root, "export SOURCE_DATE_EPOCH=%s %s\n%s/packaging/build.sh %s /packages" % (DATE, AGAIN if again else CACHED, place, kind),
                    {source: place, folder + ".new": "/packages", STORE + "/ccache": "/ccache"})
        os.rename(folder + ".new", folder)
    return folder


def package(folder, name):
    """The file of that package in the folder."""
    found = [path for path in glob.glob("%s/%s[_-]*" % (folder, name)) if re.fullmatch(r"%s[_-]\d.*\.(deb|rpm)" % re.escape(name), os.path.basename(path))]
    assert len(found) == 1, (folder, name, found)
    return found[0]


# ---- others made of them ----

def restamped(path, new):
    """The program says that it is of the version `new`: the text is as long, and no byte else is another."""
    with open(path, "rb") as file:
        before = file.read()
    after = re.sub(rb"(?<![\d.])" + re.escape(version().encode()) + rb"(?![\d.])", new.encode(), before)
    assert before != after and len(before) == len(after), path
    with open(path, "wb") as file:
        file.write(after)


def remade_deb(path, to, new_version, change):
    """The package as a later version, with `change(folder)` done to its files."""
    with tempfile.TemporaryDirectory(prefix="hf-remade-") as work:
        tree = work + "/tree"
        subprocess.run(["dpkg-deb", "--raw-extract", path, tree], check=True)
        control = tree + "/DEBIAN/control"
        with open(control, encoding="utf-8") as file:
            text = file.read()
        with open(control, "w", encoding="utf-8") as file:
            file.write(re.sub(r"^Version: .*$", "Version: " + new_version, text, flags=re.M))
        change(tree)
        # What it is said to have, as dpkg --verify looks at.
        sums = subprocess.run("find . -path ./DEBIAN -prune -o -type f -print0 | sort -z | xargs -0 md5sum | sed 's, \\./, ,'", shell=True, cwd=tree,
                              stdout=subprocess.PIPE, text=True, check=True).stdout
        with open(tree + "/DEBIAN/md5sums", "w", encoding="utf-8") as file:
            file.write(sums)
        subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, to], check=True, stdout=subprocess.DEVNULL)


def scriptlets_and_files():
    """Of the .spec, without what compiles."""
    with open(os.path.join(ROOT, "packaging", "rpm", "holdfast.spec.in"), encoding="utf-8") as file:
        text = file.read()
    text = re.sub(r"^BuildRequires: .*\n", "", text, flags=re.M)
    return re.sub(r"^# Fedora says.*?(?=^%post\n)", "%prep\n%build\n%install\ncp -a %{tree}/. %{buildroot}\n\n# Here\n", text, flags=re.M | re.S)


def remade_rpm(folder, to, new_version, change):
    """All packages as a later version, from the files of those in `folder`, by the scriptlets of the .spec."""
    with tempfile.TemporaryDirectory(prefix="hf-remade-") as work:
        tree = work + "/tree"
        os.mkdir(tree)
        for name in NAMES["rpm"]:
            subprocess.run("rpm2cpio '%s' | cpio --extract --make-directories --preserve-modification-time --quiet" % package(folder, name), shell=True, cwd=tree, check=True)
        # These rpmbuild copies itself, into folders that have the version in their name.
        shutil.rmtree(tree + "/usr/share/licenses")
        for path in glob.glob(tree + "/usr/share/doc/*/*.md"):
            os.remove(path)
        change(tree)
        spec = work + "/holdfast.spec"
        with open(spec, "w", encoding="utf-8") as file:
            file.write(scriptlets_and_files().replace("@version@", new_version))
        os.makedirs(work + "/BUILD")
        for name in ("LICENSE", "README.md", "CHANGELOG.md", "packaging/deb/copyright"):
            os.makedirs(os.path.dirname(work + "/BUILD/" + name), exist_ok=True)
            shutil.copy(os.path.join(ROOT, name), work + "/BUILD/" + name)
        done = subprocess.run(["rpmbuild", "-bb", "--nodeps", "--define", "_topdir " + work, "--define", "tree " + tree, "--define", "_enable_debug_packages 1",
                               "--define", "__os_install_post %{nil}", spec], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stdout[-3000:])
        os.makedirs(to, exist_ok=True)
        for path in glob.glob(work + "/RPMS/*/*.rpm"):
            shutil.copy(path, to)
