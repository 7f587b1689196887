#!/bin/sh
# share.sh DIRECTORY CACHE: mounts the share.
exec mount -t 9p -o "$(cat /opt/ninefold/options),cache=$2" 10.0.2.2 "$1"
