#!/bin/busybox sh
# First program of the guest: finds the root drive and hands over to init.sh, which came with the payload.
# Leaving this script is a kernel panic, and a panic ends QEMU: that is the error path.
export PATH=/bin
/bin/busybox --install -s /bin
set -e

mkdir -p /proc /sys /dev /lower /layer /root-fs
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r module; do
    insmod "/modules/$module.ko"
done < /modules/order

tries=0
while [ ! -b /dev/vda ]; do
    tries=$((tries + 1))
    [ "$tries" -le 100 ] || { echo "no root drive"; exit 1; }
    usleep 50000
done

# The drive is shared by all guests and stays as it is; what a guest writes lives in its memory.
mount -t ext4 -o ro /dev/vda /lower
mount -t tmpfs layer /layer
mkdir /layer/upper /layer/work
mount -t overlay -o lowerdir=/lower,upperdir=/layer/upper,workdir=/layer/work root /root-fs
mkdir -p /root-fs/opt/ninefold
mv /payload/* /root-fs/opt/ninefold/

# QEMU's user network: this is the address it expects, and the host's loopback is 10.0.2.2.
ip link set lo up
ip addr add 10.0.2.15/24 dev eth0
ip link set eth0 up
ip route add default via 10.0.2.2

for dir in proc sys dev; do
    mount --move "/$dir" "/root-fs/$dir"
done
exec switch_root /root-fs /bin/sh /opt/ninefold/init.sh
