#!/bin/sh
# Locks every requirement set with hashes. Needs `uv`. Run it after changing an .in file; commit what it writes.
set -eu
cd "$(dirname "$0")"
lock() { in=$1; out=$2; shift 2; uv pip compile --quiet --generate-hashes --python-version 3.11 --no-header "$in" -o "$out" "$@"; }

lock default.in default.txt --override overrides.txt
lock test.in test.txt --override overrides.txt
lock cluster.in cluster.txt --override overrides.txt
lock models.in models.txt --no-deps
lock loopback.in loopback.txt --no-deps
lock samples.in samples.txt --no-deps
lock benchmarks.in benchmarks.txt --no-deps
lock peer-scenedetect.in peer-scenedetect.txt --override overrides.txt
lock peer-video2dataset.in peer-video2dataset.txt
lock peer-datajuicer.in peer-datajuicer.txt
lock worker.in worker-all.txt --override overrides.txt
cuda=$(sed -n 's/^\([a-z][a-z0-9-]*\).*/\1/p' cuda.in)
lock cuda.in cuda.txt --no-deps
lock worker.in worker.txt --override overrides.txt $(for name in $cuda; do printf -- '--no-emit-package %s ' "$name"; done)
rm worker-all.txt
# The CPU build of torch, as PyTorch publishes it beside the CUDA builds of the package index: another file, same version.
cpu_torch=6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b
# uv keeps the hashes that a file had
grep -q $cpu_torch worker.txt || sed -i "s/^torch==2.13.0 \\\\\$/&\n    --hash=sha256:$cpu_torch \\\\/" worker.txt
