# SPDX-License-Identifier: Apache-2.0
"""The manual pages against what they describe: the table of settings (src/unit/settings_*.cc), what `holdfast verify` says of
each key, the help texts of the programs, holdfast.h. Run as: man_test.py SOURCE_FOLDER FOLDER_OF_THE_PROGRAMS FOLDER_OF_THE_BUILT_PAGES
"""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE, BIN, BUILT = (os.path.abspath(path) for path in sys.argv[1:4])
PAGES = sorted(glob.glob(os.path.join(SOURCE, "man", "*.[1-8]")) + glob.glob(os.path.join(BUILT, "*.[1-8]")))


def read(*path):
    if path in (("man", "holdfast.unit.5"), ("man", "holdfast.toml.5")):  # made by the build
        path = (BUILT, path[1])
    with open(os.path.join(SOURCE, *path), encoding="utf-8") as file:
        return file.read()


def run(program, *arguments):
    return subprocess.run([os.path.join(BIN, program), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=30, check=False)


def part(text, macro, title):
    """What stands below `.Sh TITLE` or `.Ss TITLE`."""
    end = r"(?=^\.Sh |\Z)" if macro == "Sh" else r"(?=^\.S[hs] |\Z)"
    found = re.search(r"^\.%s %s$\n(.*?)%s" % (macro, re.escape(title), end), text, re.M | re.S)
    assert found, "the page has no .%s %s" % (macro, title)
    return found.group(1)


def items(text):
    """The outermost `.It`s of the lists in a part: (head, body), the lists inside them in the body."""
    found, depth = [], 0
    for line in text.splitlines():
        if line.startswith(".Bl"):
            depth += 1
        elif line.startswith(".El"):
            depth -= 1
        if depth == 1 and line.startswith(".It "):
            found.append([line[len(".It "):], ""])
        elif depth >= 1 and found:
            found[-1][1] += line + "\n"
    return found


# ---- the table of settings ----

class Row:
    def __init__(self, section, key, fallback, is_supported):
        self.section, self.key, self.fallback, self.is_supported = section, key, fallback, is_supported


def snake(name):
    return {"SocketOption": "socket.option"}.get(name, name.lower())


def header(section):
    return "[[%s]]" % section if section.startswith("socket") else "[%s]" % section


DAEMON_SECTIONS = {"daemon", "control", "limits", "metrics"}


def settings(of_daemon=False):
    """Each row of the table: `later(…)` is reserved, any other is supported and has a default."""
    rows = []
    for path in sorted(glob.glob(os.path.join(SOURCE, "src", "unit", "settings_*.cc"))):
        text = re.sub(r"^\s*//.*$", "", read(path), flags=re.M)
        own = re.search(r"constexpr auto in = Section::(\w+);", text)
        for match in re.finditer(r"(later|[\w>])\s*\(\s*(?:in|Section::(\w+)),\s*\"([a-z0-9_]+)\",\s*\"([^\"]*)\"", text):
            section = snake(match.group(2) or own.group(1))
            is_supported = not text[:match.end(1)].endswith("later")
            if (section in DAEMON_SECTIONS) == of_daemon:
                rows.append(Row(section, match.group(3), match.group(4), is_supported))
    return rows


def documented_settings(page="holdfast.unit.5"):
    """{(section, key): text} of the page's SETTINGS."""
    text = part(read("man", page), "Sh", "SETTINGS")
    found = {}
    for title in re.findall(r"^\.Ss \[+([\w.]+)\]+$", text, re.M):
        for head, body in items(part(text, "Ss", header(title))):
            found[(title, head.removeprefix("Cm "))] = body
    return found


def later_settings():
    """{(section, key)} of the page's NOT SUPPORTED YET."""
    found = set()
    for head, body in items(part(read("man", "holdfast.unit.5"), "Sh", "NOT SUPPORTED YET")):
        for key in re.findall(r"^\.Cm (\w+)", body, re.M):
            found.add((head.removeprefix("Li ").strip("[]"), key))
    return found


class UnitPage(unittest.TestCase):
    def test_the_table_that_is_read_here_is_the_one_that_holdfast_has(self):
        with tempfile.TemporaryDirectory() as folder:
            for section in sorted({row.section for row in settings()} - {"socket.option"}):
                rows = [row for row in settings() if row.section == section]
                path = os.path.join(folder, section + ".toml")
                with open(path, "w", encoding="utf-8") as file:  # no key takes a date
                    file.write(header(section) + "\n" + "".join("%s = 1979-05-27\n" % row.key for row in rows))
                answer = json.loads(run("holdfast", "--json", "verify", path).stdout)
                said = {line["line"]: line["message"] for line in answer["units"][0]["diagnostics"] if line["line"] > 1}
                for number, row in enumerate(rows, start=2):
                    expected = "must be" if row.is_supported else "is not supported yet"
                    self.assertIn(expected, said.get(number, "nothing"), header(section) + " " + row.key)

    def test_every_supported_key_is_described_and_no_other(self):
        supported = {(row.section, row.key) for row in settings() if row.is_supported}
        self.assertGreater(len(supported), 20)
        self.assertEqual(set(documented_settings()), supported)

    def test_the_default_of_each_key_is_that_of_the_table(self):
        described = documented_settings()
        for row in settings():
            if row.is_supported and (row.section, row.key) in described:
                expected = "Required." if row.fallback == "required" else "Default: %s." % row.fallback
                self.assertIn(expected + "\n", described[(row.section, row.key)], header(row.section) + " " + row.key)

    def test_the_keys_that_are_not_supported_yet_are_listed(self):
        self.assertEqual(later_settings(), {(row.section, row.key) for row in settings() if not row.is_supported})

    def test_the_examples_are_accepted(self):
        blocks = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed$", part(read("man", "holdfast.unit.5"), "Sh", "EXAMPLES"), re.M | re.S)
        blocks = [block.replace("\\e", "\\") for block in blocks]
        units = [block for block in blocks if "exec_start" in block]
        drop_ins = [block for block in blocks if "exec_start" not in block]
        self.assertTrue(units and drop_ins)
        with tempfile.TemporaryDirectory() as folder:
            for number, block in enumerate(units):
                path = os.path.join(folder, "unit%d.toml" % number)
                with open(path, "w", encoding="utf-8") as file:
                    file.write(block)
                checked = run("holdfast", "verify", path)
                self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)
            os.mkdir(os.path.join(folder, "unit0.toml.d"))
            for number, block in enumerate(drop_ins):
                with open(os.path.join(folder, "unit0.toml.d", "%d.toml" % number), "w", encoding="utf-8") as file:
                    file.write(block)
            checked = run("holdfast", "verify", os.path.join(folder, "unit0.toml"))
            self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)


class DaemonFilePage(unittest.TestCase):
    def test_every_key_is_described_with_its_default_and_no_other(self):
        rows = settings(of_daemon=True)
        described = documented_settings("holdfast.toml.5")
        self.assertGreater(len(rows), 5)
        self.assertEqual(set(described), {(row.section, row.key) for row in rows if row.is_supported})
        for row in rows:
            if row.is_supported:
                self.assertIn("Default: %s." % row.fallback, described[(row.section, row.key)])
        later = part(read("man", "holdfast.toml.5"), "Sh", "NOT SUPPORTED YET")
        self.assertEqual(re.findall(r"^\.Cm (\w+)", later, re.M), [row.key for row in rows if not row.is_supported])

    def test_the_examples_are_accepted(self):
        blocks = re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed$", part(read("man", "holdfast.toml.5"), "Sh", "EXAMPLES"), re.M | re.S)
        self.assertTrue(blocks)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "holdfast.toml")
            for block in blocks:
                with open(path, "w", encoding="utf-8") as file:
                    file.write(block)
                checked = run("holdfast", "verify", "--config", path)
                self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)


# ---- the programs ----

def options_of_help(text):
    """{"--json", "-q", …} but for help."""
    found = set()
    for match in re.finditer(r"^  (?:(-\w),)?(--[\w-]+)", text, re.M):
        found.update(option for option in match.groups() if option)
    return found - {"-h", "--help"}


def options_of_page(text):
    """Every `.Fl` of it."""
    found = set()
    for line in text.splitlines():
        if "Fl " in line:
            found.update("-" + option for option in re.findall(r"(?<!\S)(-[a-z][a-z-]*)(?!\S)", line))
            found.update("-" + option for option in re.findall(r"Fl ([a-z])(?!\S)", line))
    return found - {"-h", "--help"}


class CommandPage(unittest.TestCase):
    def setUp(self):
        self.help = run("holdfast", "--help").stdout
        self.page = read("man", "holdfast.1")
        self.verbs = re.findall(r"^  ([a-z]+) ", self.help.split("Verbs:")[1].split("Not supported yet:")[0], re.M)
        self.described = {head.split()[1]: head + "\n" + body for head, body in items(part(self.page, "Sh", "VERBS"))
                          if head.startswith("Cm ")}

    def test_every_verb_is_described_and_no_other(self):
        self.assertIn("restart", self.verbs)
        self.assertEqual(set(self.described), set(self.verbs))

    def test_every_option_of_a_verb_is_described_and_no_other(self):
        common = options_of_help(self.help)
        for verb in self.verbs:
            has = options_of_help(run("holdfast", verb, "--help").stdout)
            self.assertEqual(options_of_page(self.described.get(verb, "")) - common, has, verb)

    def test_every_common_option_is_described_and_no_other(self):
        heads = "\n".join(head for head, _ in items(part(self.page, "Sh", "DESCRIPTION")))
        self.assertEqual(options_of_page(heads), options_of_help(self.help))

    def test_verbs_that_are_not_supported_yet_are_listed(self):
        names = re.search(r"^Not supported yet: (.*?)\n\n", self.help, re.M | re.S).group(1).split()
        listed = part(self.page, "Ss", "Not supported yet").split("\nThe values")[0]
        self.assertEqual(re.findall(r"^\.Cm (\w+)", listed, re.M), names)

    def test_exit_statuses_are_those_of_the_help_text(self):
        said = re.findall(r"(\d) ([a-z ]+)", self.help.split("Exit status:")[1])
        listed = items(part(self.page, "Sh", "EXIT STATUS"))
        self.assertEqual([head for head, _ in listed], [number for number, _ in said])
        for (_, body), (_, words) in zip(listed, said):
            self.assertTrue(body.lower().startswith(words), body + " is not: " + words)


class DaemonPage(unittest.TestCase):
    def test_every_option_is_described_and_no_other(self):
        options = options_of_help(run("holdfastd", "--help").stdout)
        self.assertIn("--unit-dir", options)
        page = read("man", "holdfastd.8")
        heads = "\n".join(head for head, _ in items(part(page, "Sh", "DESCRIPTION")) if head.startswith("Fl"))
        self.assertEqual(options_of_page(heads), options)
        self.assertEqual(options_of_page(part(page, "Sh", "SYNOPSIS")), options - {"--version"})


class KeeperPage(unittest.TestCase):
    def setUp(self):
        self.page = read("man", "holdfast-keeper.8")

    def test_every_option_is_described_and_no_other(self):
        options = options_of_help(run("holdfast-keeper", "--help").stdout)
        self.assertIn("--ready-timeout", options)
        heads = "\n".join(head for head, _ in items(part(self.page, "Sh", "DESCRIPTION")) if head.startswith("Fl"))
        self.assertEqual(options_of_page(heads), options)
        self.assertEqual(options_of_page(part(self.page, "Sh", "SYNOPSIS")), options - {"--version"})

    def test_the_defaults_are_those_of_the_help_text(self):
        described = dict(items(part(self.page, "Sh", "DESCRIPTION")))
        told = re.findall(r"^  --([\w-]+) TIME .*\((\w+)\)$", run("holdfast-keeper", "--help").stdout, re.M)
        self.assertEqual(len(told), 2)
        for option, default in told:
            self.assertIn("Default: %s.\n" % default, described["Fl -%s Ar time" % option])

    def test_the_status_of_an_upgrade_is_that_of_the_protocol(self):
        number = re.search(r"start_successor = (\d+);", read("src", "store", "protocol.h")).group(1)
        self.assertIn("With status %s" % number, [head for head, _ in items(part(self.page, "Ss", "When holdfastd ends"))])


class Help(unittest.TestCase):
    def test_the_help_of_no_program_is_wider_than_80_columns(self):
        for program in ("holdfast", "holdfastd", "holdfast-keeper"):
            for line in run(program, "--help").stdout.splitlines():
                self.assertLessEqual(len(line), 80, line)


class LibraryPage(unittest.TestCase):
    def test_every_function_of_the_header_is_described_and_no_other(self):
        functions = re.findall(r"^HOLDFAST_API .*?\b(holdfast_\w+)\(", read("src", "client", "holdfast.h"), re.M)
        self.assertIn("holdfast_inherit", functions)
        synopsis = part(read("man", "libholdfast.3"), "Sh", "SYNOPSIS")
        self.assertEqual(re.findall(r"^\.F[no] (holdfast_\w+)", synopsis, re.M), functions)


class AllPages(unittest.TestCase):
    # What mandoc says of style, and why that is none of our faults.
    NO_FAULTS = [
        r"STYLE: referenced manual not found|outdated mandoc.db",  # of the machine: what is installed there
        r"STYLE: input text line longer than 80",  # how long a line of the source is
        r"STYLE: trailing delimiter: Ss \[+[\w.]+\]+$",  # a section is written in brackets
    ]

    def test_mandoc_finds_nothing_to_complain_of(self):
        self.assertTrue(PAGES)
        if shutil.which("mandoc") is None:
            print("skipped: mandoc is not installed")
            return
        checked = subprocess.run(["mandoc", "-T", "lint", *PAGES], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=30,
                                 check=False)
        found = [line for line in checked.stdout.splitlines() if not any(re.search(pattern, line) for pattern in self.NO_FAULTS)]
        self.assertEqual(found, [])

    def test_every_page_is_installed_into_its_section(self):
        rules = read("man", "CMakeLists.txt")
        for page in PAGES:
            name = os.path.basename(page)
            self.assertRegex(rules, r"FILES (%s|\$\{unit_page\} \$\{daemon_page\}) DESTINATION \$\{CMAKE_INSTALL_MANDIR\}/man%s\b"
                             % (re.escape(name), name[-1]))

    def test_references_among_our_pages_lead_somewhere(self):
        ours = {tuple(os.path.basename(page).rsplit(".", 1)) for page in PAGES}
        for page in PAGES:
            for name, section in re.findall(r"\.Xr ((?:lib)?holdfast\S*) (\d)", read(page)):
                self.assertIn((name, section), ours, os.path.basename(page))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
