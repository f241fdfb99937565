#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# core_dump.sh [OPTION]...: installs and builds what is needed, then runs core_dump.py, which says what it measures. --help lists the options.
. "$(dirname "${BASH_SOURCE[0]}")/prepare.sh"
prepare "$@"
exec python3 "$bench_folder/core_dump.py" "$@"
