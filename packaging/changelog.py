#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""CHANGELOG.md as a package wants it: changelog.py deb|rpm SOURCE_FOLDER SECONDS
SECONDS since 1970 is the date of a version that is "(unreleased)". The newest version must be that of the project."""
import datetime
import os
import re
import sys
import textwrap

HEADING = re.compile(r"^## (\S+) \((\d{4}-\d{2}-\d{2}|unreleased)\)$")


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def project_version(source):
    return re.search(r"^project\(holdfast VERSION (\S+)", read(source, "CMakeLists.txt"), re.M).group(1)


def maintainer(source):
    return re.search(r"^Maintainer: (.*)$", read(source, "packaging", "deb", "control"), re.M).group(1)


def releases(text, seconds):
    """[version, date, [paragraph or item...]] of each, the newest first."""
    found = []
    for line in text.splitlines():
        heading = HEADING.match(line)
        if heading:
            day = heading.group(2)
            date = (datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc) if day == "unreleased" else
                    datetime.datetime.fromisoformat(day).replace(hour=12, tzinfo=datetime.timezone.utc))
            found.append((heading.group(1), date, []))
        elif line.startswith("#"):
            if line.startswith("## "):
                raise SystemExit("CHANGELOG.md: not a heading of a version: " + line)
        elif found and line.strip():
            items = found[-1][2]
            if line.startswith(" ") and items:
                items[-1] += " " + line.strip()
            else:
                items.append(line[2:].strip() if line.startswith("- ") else line.strip())
    return found


def filled(items, bullet, width):
    for item in items:
        yield textwrap.fill(item, width, initial_indent=bullet, subsequent_indent=" " * len(bullet), break_long_words=False,
                            break_on_hyphens=False)


def english(date, form):
    """strftime in English, whatever the locale."""
    days, months = "Mon Tue Wed Thu Fri Sat Sun".split(), "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
    return date.strftime(form.replace("%a", days[date.weekday()]).replace("%b", months[date.month - 1]))


def deb(version, date, items, who):
    return "holdfast (%s) unstable; urgency=medium\n\n%s\n\n -- %s  %s\n" % (
        version, "\n".join(filled(items, "  * ", 79)), who, english(date, "%a, %d %b %Y %H:%M:%S +0000"))


def rpm(version, date, items, who):
    return "* %s %s - %s-1\n%s\n" % (english(date, "%a %b %d %Y"), who, version, "\n".join(filled(items, "- ", 79)).replace("%", "%%"))


def main(kind, source, seconds):
    found = releases(read(source, "CHANGELOG.md"), int(seconds))
    if not found or found[0][0] != project_version(source):
        raise SystemExit("CHANGELOG.md does not begin with version %s of the project" % project_version(source))
    print("\n".join({"deb": deb, "rpm": rpm}[kind](*release, maintainer(source)) for release in found), end="")


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in ("deb", "rpm") or not sys.argv[3].isdigit():
        sys.exit(__doc__)
    main(*sys.argv[1:])
