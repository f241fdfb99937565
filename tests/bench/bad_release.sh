#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# bad_release.sh [OPTION]...: installs and builds what is needed, then runs bad_release.py, which says what it measures. --help lists the options.
. "$(dirname "${BASH_SOURCE[0]}")/prepare.sh"
prepare "$@"
exec python3 "$bench_folder/bad_release.py" "$@"
