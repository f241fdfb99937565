#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# steering.sh [OPTION]...: installs and builds what is needed, then runs steering.py, which says what it measures. --help lists the options.
. "$(dirname "${BASH_SOURCE[0]}")/prepare.sh"
prepare "$@"
exec python3 "$bench_folder/steering.py" "$@"
