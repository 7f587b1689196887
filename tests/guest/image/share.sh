#!/bin/sh
# share.sh DIRECTORY CACHE: mounts the share with the source and options of the suite that runs. /mnt/q is always QEMU's
# own server; its devices are tagged with the names of their directories, for which % stands.
source=$SHARE_SOURCE
options=$SHARE_OPTIONS
if [ "$1" = /mnt/q ]; then
    source=%
    options=trans=virtio,version=${options#*,version=}
fi
[ "$source" != % ] || source=${1##*/}
exec mount -t 9p -o "$options,cache=$2" "$source" "$1"
