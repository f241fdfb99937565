# SPDX-License-Identifier: Apache-2.0
"""The rules of the house. Each rule takes the tree and yields what breaks it, as "path:line: sentence".

What may include what is read from the table in src/README.md, so that the document cannot drift from the code; and
src/CMakeLists.txt must link by the same table.
"""
import os
import re

LINES = {".cc": 500, ".c": 500, ".h": 250}  # in src/
TEST_LINES = 500
CODE = (".cc", ".c", ".h", ".py", ".sh", ".in", ".cmake")
MAY_LOG = {"supervisor", "daemon", "keeper", "cli"}
LOGGING = re.compile(r"iostream$|print$|spdlog/|fmt/ostream")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/|\"(?:\\.|[^\"\\\n])*\"", re.DOTALL)


# Where an exception ends (STYLE.md): the trampoline, each main, and where a library reports by throwing. A place more
# is an error that should have been a Result.
MAY_CATCH = {
    "src/event/loop.cc": 2,  # the trampoline, and the telling of what it caught
    "src/event/aside.cc": 1,  # a thread's failure goes to that trampoline
    "src/daemon/main.cc": 1,
    "src/keeper/main.cc": 1,
    "src/cli/main.cc": 1,
    "src/unit/toml_text.cc": 1,  # toml++: the unit-file boundary
    "src/daemon/options.cc": 1,  # CLI11: the command line
    "src/cli/command_line.cc": 1,  # CLI11
    "src/control/request.cc": 1,  # in a destructor, which may not throw
}


class Folder:
    """A row of the table."""

    def __init__(self, name, level, includes):
        self.name, self.level, self.includes = name, level, includes


class Tree:
    def __init__(self, root):
        self.root = root

    def files(self, *tops):
        for top in tops:
            for folder, subfolders, names in os.walk(os.path.join(self.root, top)):
                subfolders[:] = sorted(n for n in subfolders if n not in ("__pycache__", ".cache"))
                for name in sorted(names):
                    yield os.path.relpath(os.path.join(folder, name), self.root)

    def text(self, path):
        with open(os.path.join(self.root, path), encoding="utf-8", errors="replace") as file:
            return file.read()

    def includes(self, top="src"):
        """(path, folder, line, bracket, what) of every #include of C and C++ files under src/."""
        for path in self.files(top):
            if os.path.splitext(path)[1] in LINES and path.count(os.sep) >= 2:
                for number, line in enumerate(self.text(path).splitlines(), 1):
                    found = INCLUDE.match(line)
                    if found:
                        yield path, path.split(os.sep)[1], number, found.group(1), found.group(2)

    def source_folders(self):
        return {path.split(os.sep)[1] for path in self.files("src") if path.count(os.sep) >= 2}

    def table(self):
        """The rows of src/README.md by name; "all above" means every row above of a lower level."""
        rows = {}
        for line in self.text("src/README.md").splitlines():
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if not line.startswith("| `") or len(cells) != 4:
                continue
            name, level, includes = cells[0].strip("`/"), cells[2], cells[3]
            if includes == "all above":
                allowed = {row.name for row in rows.values() if row.level != "public" and row.level < level}
            elif includes == "nothing of ours":
                allowed = set()
            else:
                allowed = {word.strip(" `/") for word in includes.split(",")} - {""}
            rows[name] = Folder(name, level, allowed)
        return rows


def table_is_sound(tree):
    rows = tree.table()
    if not rows:
        yield "src/README.md: no table of folders"
    for row in rows.values():
        for name in sorted(row.includes):
            if name not in rows:
                yield "src/README.md: %s may include %s, which has no row" % (row.name, name)
            elif not rows[name].level < row.level:
                yield "src/README.md: %s may include %s, which is not of a lower level" % (row.name, name)
    for name in sorted(tree.source_folders() - set(rows)):
        yield "src/%s: this folder has no row in src/README.md" % name
    for name in sorted(set(rows) - tree.source_folders()):
        yield "src/README.md: there is no folder src/%s" % name


def includes_follow_the_table(tree):
    rows = tree.table()
    for path, folder, line, bracket, what in tree.includes():
        target = what.split("/")[0] if "/" in what else None
        is_ours = target in rows or (bracket == '"' and target is not None)
        if is_ours and target != folder and target not in (rows[folder].includes if folder in rows else ()):
            yield "%s:%d: %s/ may not include %s" % (path, line, folder, what)
        # client/ is built without src/ in its include path, so only there a bare name is right.
        elif folder == "client" and bracket == '"' and target is not None:
            yield "%s:%d: client/ is built without our include folder: %s" % (path, line, what)
        elif folder != "client" and bracket == '"' and target is None:
            yield "%s:%d: name the folder: %s" % (path, line, what)


def core_is_pure(tree):
    for path, folder, line, bracket, what in tree.includes():
        if folder == "lifecycle" and bracket == "<" and ("/" in what or what.endswith(".h")):
            yield "%s:%d: lifecycle/ includes only the standard library and base/, not <%s>" % (path, line, what)


def doors_are_few(tree):
    """One .cc for toml++, one folder for sd-event; and who returns values does not log."""
    toml_users = []
    for path, folder, line, _, what in tree.includes():
        if what.startswith("toml++/") or what == "toml.hpp":
            if folder != "unit" or not path.endswith(".cc"):
                yield "%s:%d: toml++ belongs in one .cc of unit/" % (path, line)
            else:
                toml_users.append(path)
        if what == "systemd/sd-event.h" and folder != "event":
            yield "%s:%d: event/ is the only door to sd-event" % (path, line)
        if LOGGING.match(what) and folder not in MAY_LOG:
            yield "%s:%d: %s/ returns values and does not log: <%s>" % (path, line, folder, what)
    for path in sorted(set(toml_users))[1:]:
        yield "%s: toml++ is included in more than one .cc" % path


def files_are_short(tree):
    for path in tree.files("src", "tests"):
        suffix = os.path.splitext(path)[1]
        limit = LINES.get(suffix) if path.startswith("src") else TEST_LINES if suffix in CODE else None
        if limit:
            count = len(tree.text(path).splitlines())
            if count > limit:
                yield "%s: %d lines, and the limit is %d" % (path, count, limit)


def files_have_a_licence(tree):
    for path in tree.files("src", "tests", "examples"):
        if path.endswith(CODE) or os.path.basename(path) == "CMakeLists.txt":
            head = tree.text(path).splitlines()[:3]
            if sum("SPDX-License-Identifier: Apache-2.0" in line for line in head) != 1:
                yield "%s: no SPDX line among the first three" % path


def code_lines(tree, top):
    """(path, line, text) of C and C++ files, without comments and strings."""
    keep_lines = lambda found: "\n" * found.group().count("\n")
    for path in tree.files(top):
        if os.path.splitext(path)[1] in LINES:
            for number, line in enumerate(COMMENT.sub(keep_lines, tree.text(path)).splitlines(), 1):
                yield path, number, line


def few_places_catch(tree):
    caught = {}
    for path, number, line in code_lines(tree, "src"):
        if re.search(r"\bcatch\s*\(", line):
            caught[path] = caught.get(path, 0) + 1
            if caught[path] > MAY_CATCH.get(path, 0):
                yield "%s:%d: one catch too many; the world's failures are Results" % (path, number)


def no_default_in_the_core(tree):
    for path, number, line in code_lines(tree, "src/lifecycle"):
        if re.search(r"\bdefault\s*:", line):
            yield "%s:%d: no default: over our enums, the compiler must see a missing case" % (path, number)


def libraries_of(arguments, rows):
    return {word[len("holdfast_"):] for word in arguments.split() if word.startswith("holdfast_")} & set(rows)


def cmake_follows_the_table(tree):
    rows = tree.table()
    text = re.sub(r"#[^\n]*", "", tree.text("src/CMakeLists.txt"))
    linked = {}
    for name, arguments in re.findall(r"^\s*holdfast_folder\(\s*(\w+)([^)]*)\)", text, re.MULTILINE):
        linked[name] = libraries_of(arguments, rows)
    for name, arguments in re.findall(r"target_link_libraries\(\s*holdfast_(\w+)([^)]*)\)", text):
        linked.setdefault(name, set()).update(libraries_of(arguments, rows))
    for row in rows.values():
        if row.level in ("0", "1", "2", "3"):
            if row.name not in linked:
                yield "src/CMakeLists.txt: no holdfast_folder(%s)" % row.name
            elif linked[row.name] != row.includes:
                yield "src/CMakeLists.txt: %s links %s, but may include %s" % (
                    row.name, sorted(linked[row.name]), sorted(row.includes))
    # What is left are the programs; their folders are named by a list, so only the union is known.
    programs = [row for row in rows.values() if row.level == "4"]
    allowed = set().union(*(row.includes for row in programs)) if programs else set()
    for arguments in re.findall(r"target_link_libraries\(\s*(?!holdfast_)([^)]*)\)", text):
        for name in sorted(libraries_of(arguments, rows) - allowed):
            yield "src/CMakeLists.txt: a program links %s, which none may include" % name
    if "client" in rows:
        for name in sorted(set(re.findall(r"holdfast_(\w+)", tree.text("src/client/CMakeLists.txt"))) & set(rows) - {"client"}):
            yield "src/client/CMakeLists.txt: libholdfast links nothing of ours, but %s" % name


RULES = [table_is_sound, includes_follow_the_table, core_is_pure, doors_are_few, files_are_short, files_have_a_licence,
         few_places_catch, no_default_in_the_core, cmake_follows_the_table]


def broken(root):
    tree = Tree(root)
    return [sentence for rule in RULES for sentence in rule(tree)]
