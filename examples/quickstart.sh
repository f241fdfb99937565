#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# See it work: builds holdfast, starts it on an example unit with a real web server, puts load on that server, restarts it five
# times meanwhile, and prints what the clients saw. Installs the Debian packages it needs. Leaves no process and no file but
# the build folder. Exit status: 0 if no client lost a request. QUICKSTART_RATE, QUICKSTART_SECONDS: how much load, how long.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=$root/build/release/bin
rate=${QUICKSTART_RATE:-1000}
seconds=${QUICKSTART_SECONDS:-10}
restarts=5

bold='' plain='' good='' bad=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
    bold=$'\e[1m' plain=$'\e[0m' good=$'\e[32m' bad=$'\e[31m'
fi
say() { echo "$bold$*$plain"; }

processes=()
work=
cleanup() {
    trap - EXIT INT TERM
    local pid
    for pid in "${processes[@]}"; do
        kill "$pid" 2>/dev/null || true
    done
    for pid in "${processes[@]}"; do
        wait "$pid" 2>/dev/null || true
    done
    [ -z "$work" ] || rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

build() {
    say "Building (in build/release)"
    "$root/tests/install-dependencies.sh" build
    local log=$work/build.log
    local compiled=()
    [ -e "$root/build/release/CMakeCache.txt" ] || compiled=(-DCMAKE_UNITY_BUILD=ON) # faster
    if ! { cmake -S "$root" --preset release "${compiled[@]}" && cmake --build "$root/build/release" \
        --target holdfastd holdfast holdfast-webserver holdfast-load; } >"$log" 2>&1; then
        tail -40 "$log" >&2
        echo "quickstart: the build failed" >&2
        exit 1
    fi
}

holdfast() { "$bin/holdfast" --runtime-dir "$work/run" "$@"; }

start_supervisor() {
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    mkdir "$work/units"
    "$root/examples/unit.sh" web | sed "s/127.0.0.1:8080/127.0.0.1:$port/" >"$work/units/web.toml"
    say "Starting holdfastd on this unit (port $port)"
    sed -n '/^\[\[socket/,$p' "$work/units/web.toml" | sed 's/^/    /'
    "$bin/holdfastd" --foreground --unit-dir "$work/units" --runtime-dir "$work/run" >"$work/holdfastd.log" 2>&1 &
    processes+=($!)
    for _ in $(seq 100); do
        if python3 -c "import urllib.request as u; u.urlopen('http://127.0.0.1:$port/healthz', timeout=5)" 2>/dev/null; then
            return
        fi
        kill -0 "${processes[0]}" 2>/dev/null || break
        sleep 0.1
    done
    cat "$work/holdfastd.log" >&2
    echo "quickstart: the web server did not come up" >&2
    exit 1
}

# load NAME OPTION...: clients in the background, their result in NAME.json
load() {
    local name=$1
    shift
    "$bin/holdfast-load" --target "127.0.0.1:$port" --rate "$rate" --duration "${seconds}s" --answers \
        --json-file "$work/$name.json" "$@" >/dev/null &
    loads+=($!)
    processes+=($!)
}

# One row per kind of client; exit status 1 if anything failed or the restarts did not happen.
print_result() {
    python3 - "$restarts" "$work/new.json" "$work/keep.json" <<'PYTHON'
import json, sys
restarts, runs, servers, failed = int(sys.argv[1]), [], set(), 0
for title, path in zip(("a new connection per request", "connections kept alive"), sys.argv[2:]):
    with open(path) as file:
        runs.append((title, json.load(file)))
print("    %-30s %10s %8s %12s" % ("clients with", "requests", "failed", "slowest"))
for title, run in runs:
    print("    %-30s %10d %8d %9.1f ms" % (title, run["sent"], run["failed"], run["latency_us"]["max"] / 1000))
    if run["failed"]:
        print("        first failure: " + run["first_failure"])
    failed += run["failed"] + (run["ok"] == 0)
    servers |= set(run["answers"])
print("    answered by %d processes, one after the other" % len(servers))
sys.exit(1 if failed or len(servers) != restarts + 1 else 0)
PYTHON
}

work=$(mktemp -d "${TMPDIR:-/tmp}/holdfast-quickstart.XXXXXX")
build
start_supervisor
say "Load: twice $rate requests per second for $seconds seconds; meanwhile $restarts restarts"
loads=()
began=$(date +%s.%N)
load new
load keep --keep-alive
for i in $(seq $restarts); do
    # Each takes its second of probation; one that took longer is made up for.
    sleep "$(python3 -c "import time; print(max(0.1, $began + $i * $seconds * 0.85 / $restarts - 1.2 - time.time()))")"
    echo "  ${bold}holdfast restart web$plain   ($i of $restarts)"
    if ! holdfast restart web >"$work/restart.log" 2>&1; then
        cat "$work/restart.log" "$work/holdfastd.log" >&2
        echo "quickstart: restart $i failed" >&2
        exit 1
    fi
done
for pid in "${loads[@]}"; do
    wait "$pid" || true # its result tells
done
say "What the clients saw"
if print_result; then
    echo "${good}Five restarts under load, and no client noticed.$plain"
else
    echo "${bad}Something was lost, or a restart did not happen: that is a bug.$plain"
    exit 1
fi
