#!/bin/sh
# Runs the suites of /opt/ninefold/plan, one a line: NAME LIMIT CACHE SOURCE OPTIONS COMMAND...
# Each gets the share on two connections of its own, /mnt/a and /mnt/b, and none where CACHE is -. Lines that begin with
# @@ninefold are for the host, which knows by them which suite runs; all else is the suites' own output.
cd /opt/ninefold || exit 1
export PATH=/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin:/opt/ninefold
export HOME=/tmp LC_ALL=C.UTF-8 TERM=dumb NO_COLOR=1
hostname guest
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t tmpfs -o mode=755 run /run
mkdir -p /mnt/a /mnt/b /dev/pts /dev/shm
mount -t devpts pts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
echo "@@ninefold ready $(uname -r)"

share() { # CACHE
    [ "$1" = - ] || { ./share.sh /mnt/a "$1" && ./share.sh /mnt/b "$1"; }
}

release() {
    for dir in /mnt/b /mnt/a; do
        umount "$dir" || umount --lazy "$dir"
    done
}

while read -r name limit cache SHARE_SOURCE SHARE_OPTIONS command; do
    export SHARE_SOURCE SHARE_OPTIONS
    echo "@@ninefold begin $name"
    status=1
    if share "$cache"; then
        # shellcheck disable=SC2086 # the command is meant to fall into words
        (cd /tmp && exec timeout --kill-after=10 "$limit" $command) < /dev/null 2>&1
        status=$?
    fi
    [ "$cache" = - ] || release
    echo "@@ninefold end $name $status"
done < plan

# The debug-exit device: QEMU ends with twice the value plus one, which no crash of the guest can produce.
printf '\020' | dd of=/dev/port bs=1 seek=244 conv=notrunc 2> /dev/null
exit 1
