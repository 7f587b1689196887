#!/bin/sh
# The guest reboots twenty times while its server stays: one time in order, the next in the middle of writes. What the
# share holds tells a boot which one it is: a line with the id of each boot, and one when it went down on purpose.
reboots=20
log=/mnt/a/reboots.log

fail() { # WHAT
    echo "$1: FAILED"
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
}

if [ -e "$log" ]; then
    [ "$(tail -n 1 "$log")" = down ] || fail "the boot before ended by itself"
else
    dd if=/dev/urandom of=/mnt/a/reboots.data bs=64k count=16 status=none || fail "the first write"
    (cd /mnt/a && sha256sum reboots.data > reboots.sum) || fail "the first checksum"
fi
id=$(cat /proc/sys/kernel/random/boot_id)
! grep -q "$id" "$log" 2> /dev/null || fail "the same boot again"
echo "$id" >> "$log" || fail "the log"
boot=$(grep -vc down "$log")
(cd /mnt/b && sha256sum --check --quiet reboots.sum) || fail "boot $boot, what the first one wrote"

# A virtio device knows when its guest begins anew, and gives back its locks. A network does not.
case $SHARE_OPTIONS in
trans=virtio*)
    exec 9>> /mnt/a/reboots.lock
    flock --nonblock 9 || fail "boot $boot, the lock of the one before"
    ;;
esac
echo "boot $boot: ok"

if [ "$boot" -gt "$reboots" ]; then
    rm -f /mnt/a/reboots.*
    echo "$boot passed, 0 failed, 0 skipped"
    exit 0
fi
echo down >> "$log" || fail "the log's end"
if [ $((boot % 2)) -eq 0 ]; then
    while :; do
        dd if=/dev/zero of=/mnt/a/reboots.busy bs=64k count=64 status=none
    done &
    sleep 0.3
else
    exec 9>&-
    umount /mnt/b && umount /mnt/a || fail "boot $boot, umount"
fi
echo b > /proc/sysrq-trigger
sleep 60
fail "boot $boot, reboot"
