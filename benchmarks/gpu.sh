#!/usr/bin/env bash
# What needs a GPU, measured and then trained in one go: 13 minutes on one card with sixteen cores.
#
#   benchmarks/gpu.sh all RESULTS CIFAR10        measure for about 3 minutes, then train for TRAIN_MINUTES
#   benchmarks/gpu.sh measure RESULTS CIFAR10    tests marked gpu, cold and warm shapes, networks a second
#   benchmarks/gpu.sh train RESULTS CIFAR10      go on with the shipped hypernetwork over the whole training split
#
# Run in the repository. RESULTS receives logs, tables, and the hypernetworks as they are trained (float16, two files of
# 9 MB); CIFAR10 holds the data set in torchvision's layout. Variables: PROCESSES (14), META_BATCH (28), TRAIN_MINUTES
# (8.5), START (the shipped hypernetwork), DEVICE (cuda), OPTIONS (more of `ghn train`).
set -euo pipefail
if [ $# -ne 3 ]; then
    sed -n '2,/^set/p' "$0" | grep '^#' | cut -c3-
    exit 2
fi
phase=$1 results=$2 data=$3
processes=${PROCESSES:-14} meta_batch=${META_BATCH:-28} minutes=${TRAIN_MINUTES:-8.5} device=${DEVICE:-cuda}
start=${START:-ghn3-t-cifar10}
mkdir -p "$results"
export OMP_NUM_THREADS=1 PYTHONUNBUFFERED=1

measure() {
    python3 -m pytest -q -m gpu -p no:cacheprovider tests/test_gpu.py tests/meta/test_gpu.py \
        tests/common/parallel/test_shared_sum.py >"$results/tests.txt" 2>&1 &
    tests=$!
    python3 -m benchmarks.cold_shapes --networks "${NETWORKS:-8}" --device "$device" || echo "cold shapes failed"
    wait $tests || echo "tests failed"
    tail -n 12 "$results/tests.txt"
    python3 -m benchmarks.processes --processes "$processes" --meta-batch ${META_BATCHES:-14 28} \
        --seconds "${SECONDS_EACH:-20}" --data-root "$data" "--options=--device $device" || echo "processes failed"
    cp benchmarks/results/"$(date +%F)"_{cold_shapes,processes}.* "$results" || true
}

train() {
    run=$(mktemp -d)/run
    # `timeout` only where the schedule's own end does not come; SIGTERM saves the state.
    timeout -k 20 "$(python3 -c "print(int(60 * $minutes + 60))")" \
        python3 -m torch.distributed.run --standalone --nproc-per-node "$processes" -m ghn train ghn3-t-cifar10 \
        --output "$run" --data-root "$data" --device "$device" --start-from "$start" --minutes "$minutes" \
        --meta-batch "$meta_batch" --images 128 --shared-images False --max-nodes 256 --precision bfloat16 \
        --learning-rate "${LEARNING_RATE:-1.5e-3}" --betas 0.9 0.99 --warmup 0.03 --clip 1 --average 0.99 --seed 1 \
        --save-every 100 --log-every 20 --validate-every "${VALIDATE_EVERY:-200}" --validation-networks 16 \
        --workers 1 --quiet ${OPTIONS:-} 2>&1 | tee "$results/train.txt" || echo "training ended early"
    cp "$run/log.jsonl" "$run/config.json" "$results"
    python3 - "$run" "$results" <<'PYTHON'
import sys
from pathlib import Path

from ghn.meta.export import export

run, results = map(Path, sys.argv[1:])
for name, averaged in (("last", False), ("averaged", True)):
    export(run, results / name, half=True, averaged=averaged)
PYTHON
    tail -n 2 "$results/log.jsonl"
}

case $phase in
all) measure && train ;;
measure | train) $phase ;;
*) echo "unknown phase $phase; there are all, measure, train" && exit 2 ;;
esac
