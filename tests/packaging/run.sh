#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# run.sh [PART...]: builds the packages and shows what they do, on machines that systemd has really booted. By hand, as root: it takes longer
# than CI may. What was built once for a state of the source is kept below build/packages. Parts: deb12 deb13 steps12 steps13 rpm dev12 dev13
# lint-deb12 lint-deb13 lint-rpm same. Exit status 77: nothing failed, and not all of it could be run.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(deb12 deb13 steps12 steps13 rpm dev12 dev13 lint-deb12 lint-deb13 lint-rpm same)
"$here/../install-dependencies.sh" packaging || exit 1

run_part() {
    case $1 in
    deb12) python3 -B "$here/deb_test.py" bookworm ;;
    deb13) python3 -B "$here/deb_test.py" trixie ;;
    rpm) python3 -B "$here/rpm_test.py" ;;
    dev12) python3 -B "$here/dev_test.py" bookworm ;;
    dev13) python3 -B "$here/dev_test.py" trixie ;;
    steps12) python3 -B "$here/first_steps_test.py" bookworm ;;
    steps13) python3 -B "$here/first_steps_test.py" trixie ;;
    lint-deb12) python3 -B "$here/lint_test.py" deb bookworm ;;
    lint-deb13) python3 -B "$here/lint_test.py" deb trixie ;;
    lint-rpm) python3 -B "$here/lint_test.py" rpm ;;
    same) python3 -B "$here/same_test.py" ;;
    *)
        echo "run.sh: no part $1" >&2
        return 2
        ;;
    esac
}

failed=()
skipped=()
for part in "${parts[@]}"; do
    echo "== $part"
    status=0
    run_part "$part" || status=$?
    case $status in
    0) echo "== $part: passed" ;;
    77)
        echo "== $part: skipped" # it has said why
        skipped+=("$part")
        ;;
    *)
        echo "== $part: FAILED"
        failed+=("$part")
        ;;
    esac
done
[ ${#failed[@]} -eq 0 ] || {
    echo "failed: ${failed[*]}"
    exit 1
}
[ ${#skipped[@]} -eq 0 ] || {
    echo "skipped: ${skipped[*]}"
    exit 77
}
