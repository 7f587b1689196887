#!/bin/sh
# interop.sh ARGUMENT...: the suite `interop`. In place of the second connection it has QEMU's own server on the same
# directory, at /mnt/q.
mkdir -p /mnt/q
share.sh /mnt/q none || exit 1
ninefold-suite interop "$@"
status=$?
umount /mnt/q
exit "$status"
