#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# accept.sh [OPTION]...: installs and builds what is needed, then runs accept.py, which says what it measures. --help lists the options.
# xinetd and openbsd-inetd are unpacked, not installed: their packages exclude each other, and would be started.
. "$(dirname "${BASH_SOURCE[0]}")/prepare.sh"
prepare "$@"
peers=$bench_folder/../../build/bench-peers
if [ ! -e "$peers/done" ] && command -v apt-get >/dev/null; then
    mkdir -p "$peers"
    packages=(xinetd openbsd-inetd libwrap0 libevent-2.1-7 libtirpc3 libbsd0 libmd0)
    for package in "${packages[@]}"; do # a library is called otherwise elsewhere
        (cd "$peers" && apt-get download -q "$package" >/dev/null 2>&1) || echo "accept.sh: no package $package" >&2
    done
    for archive in "$peers"/*.deb; do
        dpkg-deb -x "$archive" "$peers"
    done
    touch "$peers/done"
fi
exec python3 "$bench_folder/accept.py" --peers "$peers" "$@"
