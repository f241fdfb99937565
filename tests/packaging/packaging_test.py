# SPDX-License-Identifier: Apache-2.0
"""What can be said of the packages without building them: packaging_test.py SOURCE_FOLDER BUILD_FOLDER"""
import fnmatch
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE, BUILD = (os.path.abspath(path) for path in sys.argv[1:3])
# Made by debhelper (.dirs, .links, .docs) or by %install, and not by `cmake --install`.
MADE = {"etc/holdfast", "etc/holdfast/units", "usr/share/doc/holdfast", "usr/share/doc/holdfast/examples"}
MACROS = {"_bindir": "usr/bin", "_includedir": "usr/include", "_libdir": "usr/lib", "_libexecdir": "usr/libexec", "_datadir": "usr/share",
          "_mandir": "usr/share/man", "_prefix": "usr", "_sysconfdir": "etc", "_unitdir": "usr/lib/systemd/system", "_userunitdir": "usr/lib/systemd/user"}


def read(*path):
    with open(os.path.join(SOURCE, *path), encoding="utf-8") as file:
        return file.read()


def installed_files():
    """What `cmake --install` puts where, below the prefix of a package, the libraries in the one folder usr/lib."""
    with tempfile.TemporaryDirectory(prefix="hf-packaging-") as folder:
        done = subprocess.run(["cmake", "--install", BUILD, "--prefix", "/usr"], env={**os.environ, "DESTDIR": folder}, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        assert done.returncode == 0, done.stdout
        found = [os.path.relpath(os.path.join(path, name), folder) for path, _, names in os.walk(folder) for name in names]
    return sorted(re.sub(r"^(usr/lib|lib)(64)?/(\w+-linux-\w+/)?", "usr/lib/", path) for path in found)


def deb_lists():
    """{package: [pattern]}"""
    lists = {}
    for path in glob.glob(os.path.join(SOURCE, "packaging", "deb", "*.install")):
        with open(path, encoding="utf-8") as file:
            lines = file.read().split("\n")
        lists[os.path.basename(path)[:-len(".install")]] = [
            line.split()[0].replace("${env:UNITS}", "usr/lib/systemd").replace("usr/lib/*/", "usr/lib/")
            for line in lines if line and not line.startswith("#")]
    return lists


def spec_sections():
    """[(heading, text)] of the .spec"""
    parts = re.split(r"^%(?=(?:description|package|prep|build|install|post|posttrans|preun|postun|files|changelog)\b)(.*)$",
                     read("packaging", "rpm", "holdfast.spec.in"), flags=re.M)
    return list(zip(parts[1::2], parts[2::2]))


def rpm_lists():
    lists = {}
    for heading, text in spec_sections():
        if heading.split()[0] == "files":
            name = heading.split("-n ")[1].strip() if "-n " in heading else "holdfast"
            paths = [line.split()[-1] for line in text.splitlines() if line and not re.match(r"#|%license|%doc", line)]
            paths = [re.sub(r"%\{(\w+)\}", lambda found: MACROS[found.group(1)], path).lstrip("/") for path in paths]
            lists[name] = [path for path in paths if path not in MADE and path != "usr/libexec/holdfast"]
    return lists


def covers(pattern, path):
    return fnmatch.fnmatchcase(path, pattern) or fnmatch.fnmatchcase(path, pattern + "/*")


def shells(text):
    """Whether a shell reads it: its complaints."""
    shell = "bash" if "bash" in text.splitlines()[0] else "dash" if shutil.which("dash") else "sh"
    return subprocess.run([shell, "-n"], input=text, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout


class Packaging(unittest.TestCase):
    def assert_each_in_one(self, lists):
        files = installed_files()
        for path in files:
            owners = [name for name, patterns in lists.items() if any(covers(pattern, path) for pattern in patterns)]
            self.assertEqual(len(owners), 1, "%s is in %s" % (path, owners))
        for name, patterns in lists.items():
            for pattern in patterns:
                self.assertTrue(any(covers(pattern, path) for path in files), "%s: nothing is installed as %s" % (name, pattern))

    def test_every_installed_file_is_in_one_deb(self):
        lists = deb_lists()
        self.assertEqual(set(lists), set(re.findall(r"^Package: (\S+)$", read("packaging", "deb", "control"), re.M)))
        self.assert_each_in_one(lists)

    def test_every_installed_file_is_in_one_rpm(self):
        self.assertEqual(set(rpm_lists()), {"holdfast", "libholdfast0", "libholdfast-devel"})
        self.assert_each_in_one(rpm_lists())

    def test_the_debs_and_the_rpms_have_the_same_files(self):
        files, lists = installed_files(), (deb_lists(), rpm_lists())
        deb, rpm = ({name.replace("-devel", "-dev"): [path for path in files if any(covers(pattern, path) for pattern in patterns)]
                     for name, patterns in each.items()} for each in lists)
        self.assertEqual(deb, rpm)

    def test_the_version_is_said_once(self):
        version = re.search(r"^project\(holdfast VERSION (\S+)", read("CMakeLists.txt"), re.M).group(1)
        self.assertEqual(re.search(r"^## (\S+) ", read("CHANGELOG.md"), re.M).group(1), version, "the newest of the changelog is the project's")
        # In .symbols it is the version that a function came with.
        for path in glob.glob(os.path.join(SOURCE, "packaging", "**"), recursive=True):
            if os.path.isfile(path) and not path.endswith((".symbols", ".pyc")):
                self.assertNotIn(version, read(path), path)

    def test_the_changelog_is_one_for_packages(self):
        script = os.path.join(SOURCE, "packaging", "changelog.py")
        for kind in ("deb", "rpm"):
            text = subprocess.run([sys.executable, "-B", script, kind, SOURCE, "0"], stdout=subprocess.PIPE, text=True, check=True).stdout
            self.assertLessEqual(max(map(len, text.splitlines())), 100)
            self.assertIn("1970" if "unreleased" in read("CHANGELOG.md") else "-1", text)
            if kind == "deb" and shutil.which("dpkg-parsechangelog"):
                done = subprocess.run(["dpkg-parsechangelog", "--file", "-"], input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=True)
                self.assertEqual(done.stderr, "")

    def test_every_function_of_the_library_is_in_its_symbols(self):
        declared = re.findall(r"^HOLDFAST_API .*?(holdfast_\w+)\(", read("src", "client", "holdfast.h"), re.M)
        listed = re.findall(r"^ (holdfast_\w+)@HOLDFAST_0 ", read("packaging", "deb", "libholdfast0.symbols"), re.M)
        self.assertEqual(sorted(declared), listed)

    def test_every_script_is_one(self):
        scripts = [read("packaging", *path) for path in (("build.sh",), ("take-over.in",))]
        scripts += [read("packaging", "deb", name) for name in os.listdir(os.path.join(SOURCE, "packaging", "deb"))
                    if name.split(".")[-1] in ("preinst", "postinst", "prerm", "postrm")]
        scripts += ["#!/bin/sh" + text for heading, text in spec_sections() if heading.strip() in ("post", "posttrans", "preun", "postun")]
        self.assertEqual(len(scripts), 10)
        for text in scripts:
            self.assertEqual(shells(text), "", text)
        self.assertNotEqual(shells("#!/bin/sh\nif then"), "")

    def test_what_packages_are_built_with_is_listed_once(self):
        self.assertIn("@build-depends@", read("packaging", "deb", "control"))
        script = os.path.join(SOURCE, "tests", "install-dependencies.sh")
        listed = subprocess.run([script, "--list", "package"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
        self.assertLessEqual({"cmake", "debhelper", "rpm"}, set(listed))
        self.assertEqual(len(listed), len(set(listed)))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
