#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# lint.sh [--tidy]: formatting of every C++ file against .clang-format; with --tidy also clang-tidy over src/ (slow; needs build/dev).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
git ls-files '*.cc' '*.h' | xargs -r clang-format --dry-run -Werror
if [ "${1:-}" = --tidy ]; then
    git ls-files 'src/*.cc' | xargs -r -P "$(nproc)" -n 4 clang-tidy --quiet -p build/dev
fi
