#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# build.sh deb|rpm [OUTPUT_FOLDER]: builds the packages of this source tree on a Debian machine, installing what that needs, and leaves them
# in OUTPUT_FOLDER (default: build/packages). The same source gives the same packages, to the byte, wherever it lies.
# SOURCE_DATE_EPOCH: the date in them (default: that of the last commit, or without git that of CHANGELOG.md). WORK_FOLDER: what
# it is built below (default: a new one); compiler caches know a file only by its path.
set -euo pipefail
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
kind=${1:-}
output=${2:-$source/build/packages}
if [ "$kind" != deb ] && [ "$kind" != rpm ] || [ $# -gt 2 ]; then
    echo "usage: build.sh deb|rpm [OUTPUT_FOLDER]" >&2
    exit 2
fi
mkdir -p "$output"
output=$(cd "$output" && pwd)
"$source/tests/install-dependencies.sh" package

export LC_ALL=C.UTF-8 TZ=UTC
umask 022
version=$(sed -n 's/^project(holdfast VERSION \([0-9.]*\).*/\1/p' "$source/CMakeLists.txt")
below=${WORK_FOLDER:-$(mktemp -d)}
work=$below/holdfast-packages
rm -rf "$work"
mkdir -p "$work"
trap 'rm -rf "$work"; [ -n "${WORK_FOLDER:-}" ] || rmdir "$below"' EXIT
tree=$work/holdfast-$version
mkdir "$tree"

is_git() {
    [ "$(git -C "$source" rev-parse --show-toplevel 2>/dev/null)" = "$source" ]
}

# What is there and not ignored; deleted files that git still knows are left out.
files() {
    if is_git; then
        git -C "$source" ls-files -z --cached --others --exclude-standard --deduplicate
    else
        (cd "$source" && find . \( -path ./build -o -path ./.cache -o -name __pycache__ -o -name .git \) -prune -o \
            \( -type f -o -type l \) ! -name '*.pyc' ! -path './build-*.log' -printf '%P\0')
    fi | (cd "$source" && while IFS= read -r -d '' file; do
        if [ -e "$file" ] || [ -L "$file" ]; then printf '%s\0' "$file"; fi
    done) | sort -z
}

if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
    SOURCE_DATE_EPOCH=$(if is_git; then git -C "$source" log -1 --format=%ct; else stat -c %Y "$source/CHANGELOG.md"; fi)
fi
export SOURCE_DATE_EPOCH
files | tar -C "$source" --null --files-from=- --mtime="@$SOURCE_DATE_EPOCH" --mode=go=rX,u+rw -cf - | tar -C "$tree" --no-same-owner -xf -
changelog=$(python3 -B "$source/packaging/changelog.py" "$kind" "$source" "$SOURCE_DATE_EPOCH")

build_deb() {
    cp -r "$tree/packaging/deb" "$tree/debian"
    local depends
    depends=$("$source/tests/install-dependencies.sh" --list package | paste -sd, | sed 's/,/, /g')
    sed -i -e '/^#/d' -e "s/@build-depends@/$depends/" "$tree/debian/control"
    printf '%s\n' "$changelog" >"$tree/debian/changelog"
    (cd "$tree" && dpkg-buildpackage --build=binary --no-sign --jobs="$(nproc)")
    rm -f "$output"/*holdfast*_*.deb # an earlier version's
    cp "$work"/*.deb "$output"
}

build_rpm() {
    local arguments=(--define "_topdir $work/rpm")
    mkdir -p "$work/rpm/SOURCES" "$work/rpm/SPECS"
    tar -C "$work" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -cf - "holdfast-$version" |
        gzip -n >"$work/rpm/SOURCES/holdfast-$version.tar.gz"
    sed "s/@version@/$version/" "$tree/packaging/rpm/holdfast.spec.in" >"$work/rpm/SPECS/holdfast.spec"
    printf '%s\n' "$changelog" >>"$work/rpm/SPECS/holdfast.spec"
    # What rpm knows nothing of on Debian: its own data base lists none of the packages that are needed, nor how packages are hardened.
    if command -v dpkg-buildflags >/dev/null; then
        arguments+=(--nodeps)
        for flags in CFLAGS CXXFLAGS CPPFLAGS LDFLAGS; do
            arguments+=(--define "hardened_${flags,,} $(DEB_BUILD_MAINT_OPTIONS=hardening=+all,-fixfilepath dpkg-buildflags --get $flags |
                sed 's/-ffile-prefix-map=[^ ]*//')")
        done
    fi
    rpmbuild -bb "${arguments[@]}" "$work/rpm/SPECS/holdfast.spec"
    rm -f "$output"/*holdfast*-*.rpm
    cp "$work"/rpm/RPMS/*/*.rpm "$output"
}

log=$output/$kind.log
echo "building the .$kind packages of holdfast $version" >&2
set +e
(set -e && "build_$kind") >"$log" 2>&1 </dev/null # a function in a condition would go on after a failure
built=$?
set -e
if [ "$built" -ne 0 ]; then
    tail -40 "$log" >&2
    echo "the packages could not be built (the whole log: $log)" >&2
    exit 1
fi
(cd "$output" && ls -1 -- *_"$version"_*."$kind" *-"$version"-*."$kind" 2>/dev/null) || true
