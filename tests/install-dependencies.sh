#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# install-dependencies.sh [--list] build|test|bench|systemd|package|packaging: installs the Debian packages that are missing for that purpose
# (systemd: what tests/systemd boots its containers with; package: to build packages; packaging: to test them). This is the one list of
# them. Asks for nothing, and touches neither network nor packages when all are there. --list prints them, and does nothing.
set -euo pipefail

for_programs=(cmake g++ libcli11-dev libspdlog-dev libsystemd-dev libtomlplusplus-dev ninja-build nlohmann-json3-dev pkg-config python3)
for_build=("${for_programs[@]}" catch2)
for_test=("${for_build[@]}" curl fish gunicorn iproute2 lighttpd mandoc procps python3-jsonschema zsh)
for_bench=("${for_build[@]}" iproute2 libserver-starter-perl procps s6 ucspi-tcp)
for_systemd=("${for_build[@]}" iproute2 mmdebstrap procps systemd-container util-linux)
for_package=("${for_programs[@]}" build-essential debhelper debugedit elfutils file rpm)
for_packaging=("${for_systemd[@]}" cpio dpkg-dev lintian rpm rpmlint)

list=false
if [ "${1:-}" = --list ]; then
    list=true
    shift
fi
case "${1:-}" in
build) packages=("${for_build[@]}") ;;
test) packages=("${for_test[@]}") ;;
bench) packages=("${for_bench[@]}") ;;
systemd) packages=("${for_systemd[@]}") ;;
package) packages=("${for_package[@]}") ;;
packaging) packages=("${for_packaging[@]}") ;;
*)
    echo "usage: install-dependencies.sh [--list] build|test|bench|systemd|package|packaging" >&2
    exit 2
    ;;
esac
if $list; then
    printf '%s\n' "${packages[@]}"
    exit 0
fi

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "This is not a Debian system; what is needed are the counterparts of: ${packages[*]}" >&2
    exit 0 # the build says what it misses
fi

missing=()
for package in "${packages[@]}"; do
    status=$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null || true)
    [ "$status" = "install ok installed" ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "Missing packages, and neither root nor sudo to install them: ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi
echo "Installing Debian packages: ${missing[*]}" >&2
# lighttpd's package would start a server on port 80, which nobody asked for.
policy=/usr/sbin/policy-rc.d
if [[ " ${missing[*]} " == *" lighttpd "* ]] && [ ! -e $policy ]; then
    "${as_root[@]}" sh -c "printf '#!/bin/sh\nexit 101\n' > $policy && chmod 755 $policy"
    trap '"${as_root[@]}" rm -f $policy' EXIT
fi
"${as_root[@]}" apt-get update -q >&2
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}" >&2
