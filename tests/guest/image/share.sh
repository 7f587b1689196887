#!/bin/sh
# share.sh DIRECTORY CACHE: mounts the share with the options of the suite that runs. /mnt/q is always QEMU's own server; its devices are tagged with the names
# of their directories.
options=$SHARE_OPTIONS
[ "$1" != /mnt/q ] || options=trans=virtio,version=${options#*,version=}
case $options in
    trans=virtio,*) source=${1##*/} ;;
    *) source=10.0.2.2 ;;
esac
exec mount -t 9p -o "$options,cache=$2" "$source" "$1"
