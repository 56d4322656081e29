#!/bin/sh
# Makes the frames here of the file sample with the zstd command of the format's authors; 1.5.4 made these.
# From standard input, so that the size is not known and the window is what the level says.
set -eu
cd "$(dirname "$0")"
for level in 1 3 6 12 19; do
	zstd -q -c -$level <sample >level-$level.zst
done
zstd -q -c --ultra -22 --zstd=wlog=23 <sample >level-22.zst
zstd -q -c --fast=5 <sample >fast.zst
zstd -q -c -19 --zstd=wlog=10 <sample >blocks.zst
zstd -q -c -3 --zstd=wlog=11 --no-check <sample >blocks-3.zst
zstd -q -c -5 --no-check sample >single.zst
zstd -q -c --long=27 <sample >long.refused
