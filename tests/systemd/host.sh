#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# host.sh CGROUP LAYERS FOLDER NAME: boots systemd on a writable view of LAYERS (lowerdir= of overlayfs, the uppermost first), and ends
# when it is powered off. It has a host of its own to be on: pid, mount and network namespace, and the cgroup CGROUP, which looks to it
# like the root of a pure cgroup2 host. A kill -9 of this process ends all of it.
# By systemd-nspawn, because a systemd that is merely unshared writes the sysctls of the whole machine; and that with a cgroup and
# --register=no of its own, because it puts others in the machine's root cgroup.
set -euo pipefail
cgroup=$1
shift
mkdir -p "$cgroup"
echo $$ >"$cgroup/cgroup.procs"
exec unshare --mount --cgroup --net --pid --fork --kill-child --mount-proc --propagation private bash -euc '
    layers=$1 folder=$2 name=$3
    ip link set lo up
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    mkdir -p /sys/fs/cgroup/nspawn
    echo $$ >/sys/fs/cgroup/nspawn/cgroup.procs
    mount -t tmpfs -o mode=755 machine "$folder"
    mkdir "$folder/upper" "$folder/work" "$folder/root"
    mount -t overlay -o "lowerdir=$layers,upperdir=$folder/upper,workdir=$folder/work" machine "$folder/root"
    exec systemd-nspawn --quiet --directory="$folder/root" --register=no --keep-unit --private-network --machine="$name" --boot
' host.sh "$@"
