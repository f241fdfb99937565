#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# run.sh [dev|asan]: installs what is needed, builds, and runs every test: plainly (dev), then once more under AddressSanitizer and
# UndefinedBehaviorSanitizer (asan). With a name, only that one. Exit status 0 if all passed.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
presets=("$@")
[ ${#presets[@]} -gt 0 ] || presets=(dev asan)

"$root/tests/install-dependencies.sh" test
cd "$root"
jobs=$(nproc)
for preset in "${presets[@]}"; do
    echo "== $preset: building in build/$preset"
    compiled=()
    # A new folder: several files at once, which takes less than half the time. One that is there keeps how it is compiled.
    [ -e "build/$preset/CMakeCache.txt" ] || compiled=(-DCMAKE_UNITY_BUILD=ON)
    cmake --preset "$preset" "${compiled[@]}" >"build-$preset.log" 2>&1 && cmake --build "build/$preset" -j "$jobs" >>"build-$preset.log" 2>&1 || {
        tail -60 "build-$preset.log"
        echo "== $preset: the build failed (the whole log: build-$preset.log)"
        exit 1
    }
    rm -f "build-$preset.log"
    echo "== $preset: testing"
    ctest --test-dir "build/$preset" --output-on-failure -j "$jobs"
done
