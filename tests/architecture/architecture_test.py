# SPDX-License-Identifier: Apache-2.0
"""Fails when the tree breaks a rule of rules.py; and when a rule does not fail on a small tree that breaks it."""
import os
import sys
import tempfile

sys.dont_write_bytecode = True

import rules  # noqa: E402: beside this file; it should leave nothing behind

SPDX = "// SPDX-License-Identifier: Apache-2.0\n"
HASH_SPDX = "# SPDX-License-Identifier: Apache-2.0\n"
TABLE = """| folder | what lives there | level | may include |
|---|---|---|---|
| `base/` | words | 0 | |
| `unit/` | units | 1 | base |
| `lifecycle/` | the core | 1 | base |
| `event/` | events | 1 | base |
| `worker/` | workers | 2 | event, base |
| `supervisor/` | all | 3 | all above |
| `cli/` | main | 4 | all above |
| `client/` | library | public | nothing of ours |
"""
CMAKE = HASH_SPDX + """
holdfast_folder(base)
holdfast_folder(unit holdfast_base PkgConfig::tomlplusplus)
holdfast_folder(lifecycle holdfast_base)
holdfast_folder(event holdfast_base)
holdfast_folder(worker holdfast_event
    holdfast_base)
holdfast_folder(supervisor holdfast_worker holdfast_unit holdfast_lifecycle holdfast_event holdfast_base)
target_link_libraries(${target} PRIVATE holdfast_options holdfast_supervisor)
"""
GOOD = {
    "src/README.md": TABLE,
    "src/CMakeLists.txt": CMAKE,
    "src/base/fd.h": SPDX + '#include <unistd.h>\n',
    "src/unit/parse.cc": SPDX + '#include "base/fd.h"\n#include <toml++/toml.h>\n',
    "src/lifecycle/step.cc": SPDX + '#include "base/fd.h"\n#include <vector>\n// default: is not for us\nA() = default;\n',
    "src/event/loop.cc": SPDX + "#include <systemd/sd-event.h>\n",
    "src/worker/launch.cc": SPDX + '#include "event/loop.h"\n#include "worker/launch.h"\n',
    "src/supervisor/unit.cc": SPDX + '#include "lifecycle/step.h"\n#include <spdlog/spdlog.h>\n',
    "src/cli/main.cc": SPDX + '#include "supervisor/unit.h"\n#include <iostream>\n',
    "src/client/CMakeLists.txt": HASH_SPDX + "add_library(holdfast_client SHARED set.c)\n",
    "src/client/set.c": SPDX + '#include "internal.h"\n',
    "tests/base/fd_test.cc": SPDX,
    "tests/units/bad/no-licence.toml": "[unit]\n",
}
# What is done to the good tree (a file's new text; None: the file is not there), and what must be said about it.
BAD = [
    ("src/base/fd.h", SPDX + '#include "unit/parse.h"\n', "base/ may not include unit/parse.h"),
    ("src/base/fd.h", SPDX + '  #  include <unit/parse.h>\n', "base/ may not include unit/parse.h"),
    ("src/unit/parse.cc", SPDX + '#include "lifecycle/step.h"\n', "unit/ may not include lifecycle/step.h"),
    ("src/worker/launch.cc", SPDX + '#include "unit/parse.h"\n', "worker/ may not include unit/parse.h"),
    ("src/worker/launch.cc", SPDX + '#include "supervisor/unit.h"\n', "worker/ may not include supervisor/unit.h"),
    ("src/worker/launch.cc", SPDX + '#include "nowhere/unit.h"\n', "worker/ may not include nowhere/unit.h"),
    ("src/worker/launch.cc", SPDX + '#include "launch.h"\n', "name the folder: launch.h"),
    ("src/client/set.c", SPDX + '#include "base/fd.h"\n', "client/ may not include base/fd.h"),
    ("src/client/set.c", SPDX + '#include "client/internal.h"\n', "built without our include folder"),
    ("src/lifecycle/step.cc", SPDX + "#include <unistd.h>\n", "only the standard library"),
    ("src/lifecycle/step.cc", SPDX + "#include <sys/types.h>\n", "only the standard library"),
    ("src/lifecycle/step.cc", SPDX + "switch (a) {\ndefault:\n}\n", "step.cc:3: no default:"),
    ("src/lifecycle/state.h", SPDX + "switch (a) { default : b(); }\n", "state.h:2: no default:"),
    ("src/worker/launch.cc", SPDX + "try {\n} catch (...) {\n}\n", "launch.cc:3: one catch too many"),
    ("src/event/loop.cc", SPDX + "} catch (A) {\n} catch (B) {\n} catch(C) {\n", "loop.cc:4: one catch too many"),
    ("src/unit/second.cc", SPDX + "#include <toml++/toml.hpp>\n", "more than one .cc"),
    ("src/unit/parse.h", SPDX + "#include <toml++/toml.h>\n", "toml++ belongs in one .cc of unit/"),
    ("src/supervisor/unit.cc", SPDX + "#include <toml++/toml.h>\n", "toml++ belongs in one .cc of unit/"),
    ("src/worker/launch.cc", SPDX + "#include <systemd/sd-event.h>\n", "only door to sd-event"),
    ("src/worker/launch.cc", SPDX + "#include <iostream>\n", "does not log: <iostream>"),
    ("src/event/loop.cc", SPDX + "#include <spdlog/spdlog.h>\n", "does not log: <spdlog/spdlog.h>"),
    ("src/base/fd.cc", SPDX + "\n" * 500, "501 lines, and the limit is 500"),
    ("src/client/set.c", SPDX + "\n" * 500, "501 lines, and the limit is 500"),
    ("src/base/fd.h", SPDX + "\n" * 250, "251 lines, and the limit is 250"),
    ("tests/base/fd_test.cc", SPDX + "\n" * 500, "501 lines, and the limit is 500"),
    ("src/base/fd.h", "#pragma once\n", "src/base/fd.h: no SPDX line"),
    ("tests/base/fd_test.cc", "", "tests/base/fd_test.cc: no SPDX line"),
    ("examples/x/CMakeLists.txt", "add_test()\n", "examples/x/CMakeLists.txt: no SPDX line"),
    ("src/store/put.cc", SPDX, "src/store: this folder has no row"),
    ("src/event/loop.cc", None, "there is no folder src/event"),
    ("src/README.md", TABLE.replace("1 | base |\n| `event", "1 | event, base |\n| `event"),
     "lifecycle may include event, which is not of a lower level"),
    ("src/README.md", TABLE.replace("2 | event, base", "2 | event, socket, base"), "which has no row"),
    ("src/README.md", "nothing\n", "no table of folders"),
    ("src/CMakeLists.txt", CMAKE.replace("holdfast_folder(event holdfast_base)", ""), "no holdfast_folder(event)"),
    ("src/CMakeLists.txt", CMAKE.replace("event holdfast_base", "event holdfast_unit holdfast_base"), "event links"),
    ("src/CMakeLists.txt", CMAKE.replace("holdfast_event\n", "\n"), "worker links ['base'], but may include"),
    ("src/CMakeLists.txt", CMAKE + "target_link_libraries(holdfast_unit PRIVATE holdfast_event)\n", "unit links"),
    ("src/CMakeLists.txt", CMAKE.replace("holdfast_options", "holdfast_client"), "a program links client"),
    ("src/client/CMakeLists.txt", HASH_SPDX + "target_link_libraries(holdfast_client PRIVATE holdfast_base)\n",
     "libholdfast links nothing of ours, but base"),
]
# And what must not be mistaken for a breach.
FINE = [
    ("src/lifecycle/step.cc", SPDX + '/* default:\n*/ auto s = "default:"; // default:\n'),
    ("src/base/fd.cc", SPDX + "\n" * 499),
    ("src/event/loop.cc", SPDX + "} catch (A) {\n} catch (B) {\n}\n// catch (C)\n"),
    ("src/base/fd.h", SPDX + '// #include "unit/parse.h"\n#include <sys/stat.h>\n'),
]


def broken_with(changes):
    """What is said about the good tree with these changes, by rule."""
    with tempfile.TemporaryDirectory(prefix="holdfast-architecture-") as root:
        for path, text in {**GOOD, **dict(changes)}.items():
            if text is not None:
                os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                    file.write(text)
        return {rule.__name__: list(rule(rules.Tree(root))) for rule in rules.RULES}


def sentences(said):
    return [sentence for rule in said.values() for sentence in rule]


def self_test():
    problems = ["a good tree was found bad: " + sentence for sentence in sentences(broken_with([]))]
    untested = {rule.__name__ for rule in rules.RULES}
    for path, text, expected in BAD:
        said = broken_with([(path, text)])
        untested -= {rule for rule, found in said.items() if any(expected in sentence for sentence in found)}
        if not any(expected in sentence for sentence in sentences(said)):
            problems.append("%s: not said: %s; but %s" % (path, expected, said))
    for path, text in FINE:
        found = sentences(broken_with([(path, text)]))
        problems += ["%s: found bad without a reason: %s" % (path, sentence) for sentence in found]
    print("%d rules, %d trees that break them" % (len(rules.RULES), len(BAD)))
    return problems + ["no tree breaks the rule " + name for name in sorted(untested)]


def main():
    problems = self_test() + rules.broken(sys.argv[1])
    for sentence in problems:
        print(sentence)
    return 1 if problems else 0


sys.exit(main())
