# SPDX-License-Identifier: Apache-2.0
"""Built twice, in other folders, with another time zone, umask and home: the same packages, to the byte. same_test.py [deb|rpm]"""
import glob
import hashlib
import os
import sys

from packages import built


def hashes(folder, kind):
    found = {}
    for path in sorted(glob.glob("%s/*.%s" % (folder, kind))):
        with open(path, "rb") as file:
            found[os.path.basename(path)] = hashlib.sha256(file.read()).hexdigest()
    return found


for kind in sys.argv[1:] or ("deb", "rpm"):
    first, second = (hashes(built("bookworm", kind, again), kind) for again in (False, True))
    for name, digest in first.items():
        print("%s %s %s" % ("same " if second.get(name) == digest else "OTHER", digest[:16], name))
    if not first or first != second:
        sys.exit("not the same packages: %s" % kind)
