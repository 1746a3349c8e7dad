#!/usr/bin/env bash
# Writes a log with the example sample_log and has Kafka's own tool look at every file of it. Needs what
# interop/kafka/kafka needs (Java 17, mvn).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
dump() { "$root/interop/kafka/kafka" bin kafka-dump-log.sh --files "$(ls "$@" | paste -sd,)" "${flags[@]}" 2>&1; }

cd "$root"
for way in clean crash; do
  dir=$work/$way/sample-0
  cargo run -q -p thalweg-storage --example sample_log -- "$dir" "$way" >/dev/null
  flags=(--deep-iteration)
  dump "$dir"/*.log >"$work/batches"
  valid=$(grep -c 'isvalid: true' "$work/batches")
  [ "$valid" = 300 ] || { echo "$way: $valid of 300 batches are valid"; exit 1; }
  flags=()
  dump "$dir"/*.snapshot >"$work/snapshots"
  [ "$way" = clean ] || continue
  flags=(--index-sanity-check)
  dump "$dir"/*index >"$work/indexes"
  if grep -iE 'mismatch|fail|corrupt|exception|out of order' "$work/batches" "$work/snapshots" "$work/indexes"; then exit 1; fi
  flags=()
  dump "$dir"/*.index "$dir"/*.timeindex >"$work/indexes"
  if grep -iE 'mismatch|fail|corrupt|exception|out of order' "$work/indexes"; then exit 1; fi
done
echo "2 logs checked by kafka-dump-log.sh"
