# SPDX-License-Identifier: Apache-2.0
"""A program that knows nothing of this tree is built against libholdfast-dev, as it is installed, by pkg-config and by CMake, in C and in
C++, shared and static; and it runs. Run as: dev_test.py SUITE"""
import os
import shutil
import sys
import tempfile

from packages import NAMES, ROOT, build_root, built, in_room, package, version

SUITE = sys.argv[1] if len(sys.argv) > 1 else sys.exit(__doc__)

PROJECT = """
cmake_minimum_required(VERSION 3.18)
project(outside LANGUAGES C CXX)
find_package(holdfast %s REQUIRED)
add_executable(c-shared worker.c)
target_link_libraries(c-shared holdfast::holdfast)
add_executable(c-static worker.c)
target_link_libraries(c-static holdfast::static)
add_executable(cxx-shared worker.cc)
target_link_libraries(cxx-shared holdfast::holdfast)
add_executable(cxx-static worker.cc)
target_link_libraries(cxx-static holdfast::static)
"""

SCRIPT = r"""
dpkg --install /packages/libholdfast0_*.deb /packages/libholdfast-dev_*.deb >/dev/null
cd /outside
test "$(pkg-config --modversion holdfast)" = "$VERSION"
mkdir -p by-hand
flags="-Wall -Wextra -Wpedantic -Werror $(pkg-config --cflags holdfast)"
cc -std=c11 $flags -o by-hand/c-shared worker.c $(pkg-config --libs holdfast)
cc -std=c11 $flags -o by-hand/c-static worker.c -Wl,-Bstatic $(pkg-config --libs --static holdfast) -Wl,-Bdynamic
c++ -std=c++17 $flags -o by-hand/cxx-shared worker.cc $(pkg-config --libs holdfast)
c++ -std=c++17 $flags -o by-hand/cxx-static worker.cc -Wl,-Bstatic $(pkg-config --libs --static holdfast) -Wl,-Bdynamic
cmake -S . -B by-cmake >/dev/null
cmake --build by-cmake >/dev/null
for folder in by-hand by-cmake; do
    for program in c-shared c-static cxx-shared cxx-static; do
        said=$(LISTEN_FDS=1 LISTEN_FDNAMES=http sh -c 'export LISTEN_PID=$$; exec "$0" 3</dev/null' $folder/$program)
        echo "$folder/$program: $said"
        test "$said" = "version $VERSION, 1 listeners, http at 3, ready 0"
        case $program in
        *-shared) readelf --dynamic $folder/$program | grep -q 'NEEDED.*libholdfast\.so\.0' ;;
        *-static) readelf --dynamic $folder/$program >dynamic; not grep -q libholdfast dynamic ;;
        esac
        readelf --dynamic $folder/$program >dynamic
        grep -q 'NEEDED.*libc' dynamic
        not grep -iE 'rpath|runpath' dynamic
    done
done
# What was written for an earlier one goes on; what needs a later one is told.
sed -i 's/find_package(holdfast [0-9.]*/find_package(holdfast 0.0.1/' CMakeLists.txt
cmake -S . -B earlier >/dev/null
sed -i 's/find_package(holdfast [0-9.]*/find_package(holdfast 99.0/' CMakeLists.txt
not cmake -S . -B refused >refused.log 2>&1
grep -q 'compatible with requested version' refused.log
man -w libholdfast >/dev/null 2>&1 || test -e /usr/share/man/man3/libholdfast.3.gz
dpkg --purge libholdfast-dev libholdfast0 >/dev/null
not test -e /usr/include/holdfast.h
"""


def main():
    made = built(SUITE, "deb")
    with tempfile.TemporaryDirectory(prefix="hf-outside-") as outside:
        shutil.copy(os.path.join(ROOT, "tests", "client", "worker.c"), outside + "/worker.c")
        shutil.copy(os.path.join(ROOT, "tests", "client", "worker.c"), outside + "/worker.cc")
        with open(outside + "/CMakeLists.txt", "w", encoding="utf-8") as file:
            file.write(PROJECT % version())
        for name in NAMES["deb"]:
            assert package(made, name)
        done = in_room(build_root(SUITE), "VERSION=%s\n%s" % (version(), SCRIPT), {outside: "/outside", made: "/packages"})
        print(done.stdout, end="")


main()
