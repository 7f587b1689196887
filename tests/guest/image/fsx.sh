#!/bin/sh
# fsx with fixed seeds: random reads, writes, truncations and mappings of one file, every byte checked against a model.
# Once on an uncached mount, where Linux cannot map files for writing, and once on one that can.
passed=0
failed=0

exercise() { # DIRECTORY CACHE SEED
    if fsx -q -f "/opt/ninefold/fsx-$2.toml" -N 2000 -S "$3" -P /tmp "$1/fsx-$3"; then
        echo "fsx cache=$2 seed $3: ok"
        passed=$((passed + 1))
    else
        echo "fsx cache=$2 seed $3: FAILED"
        failed=$((failed + 1))
    fi
    rm -f "$1/fsx-$3"
}

mkdir -p /mnt/mmap
share.sh /mnt/mmap mmap || exit 1
for seed in 1 2 3; do
    exercise /mnt/a none "$seed"
    exercise /mnt/mmap mmap "$seed"
done
umount /mnt/mmap
echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
