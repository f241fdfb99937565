# SPDX-License-Identifier: Apache-2.0
# Sourced by the benchmarks: installs what is missing and builds the release preset, unless --bin names programs that exist.
set -euo pipefail
bench_folder=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

prepare() {
    local word
    for word in "$@"; do
        case $word in
        --bin | --bin=* | --help | -h) return 0 ;;
        esac
    done
    local root=$bench_folder/../..
    "$root/tests/install-dependencies.sh" bench
    (cd "$root" && cmake --preset release >/dev/null && cmake --build --preset release --target holdfastd holdfast \
        holdfast-webserver holdfast-load holdfast-keeper holdfast-bench-spawn holdfast-bench-bind holdfast-bench-connect >&2)
}
