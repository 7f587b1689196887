#!/bin/sh
# coherence.sh ARGUMENT...: the suite `coherence`, with a third connection at /mnt/mmap, whose client caches.
mkdir -p /mnt/mmap
share.sh /mnt/mmap mmap || exit 1
ninefold-suite coherence --cached /mnt/mmap "$@"
status=$?
umount /mnt/mmap
exit "$status"
