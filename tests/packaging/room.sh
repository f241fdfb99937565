#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# room.sh ROOT SOURCE=PLACE... -- COMMAND...: runs COMMAND as root in a chroot on a throw-away copy of ROOT, with no network and its own
# processes; each folder SOURCE is at PLACE in it.
set -euo pipefail
exec unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private bash -euc '
    root=$1
    shift
    mount -t tmpfs room /mnt
    mkdir /mnt/upper /mnt/work /mnt/root
    mount -t overlay -o "lowerdir=$root,upperdir=/mnt/upper,workdir=/mnt/work" room /mnt/root
    mount --bind /proc /mnt/root/proc
    mount --bind /dev /mnt/root/dev
    while [ "$1" != -- ]; do
        mkdir -p "/mnt/root${1#*=}"
        mount --bind "${1%%=*}" "/mnt/root${1#*=}"
        shift
    done
    shift
    ip link set lo up
    exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        chroot /mnt/root "$@"
' room.sh "$@"
