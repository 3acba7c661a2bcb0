#!/usr/bin/env bash
# bench/gpu.sh [--out FOLDER] [--tiny] [--software] [--limit SECONDS] [--no-tests]
#
# What a GPU has to show, in one go: the WebGPU tests in every tier that it reaches, then the time of training steps
# (bench/gpuTable.mjs), beside PyTorch + PEFT where a Python with torch is found (LOWRANK_PYTHON). Everything goes to
# the folder, the table to stdout. Without a GPU it says so and ends with 0; --software goes on with a software adapter
# (LOWRANK_VK=lavapipe, else SwiftShader), and --tiny times a model of one layer, to see that all of it works. A row
# that takes longer than the limit, 900 seconds, is not run. Exits with 1 where a test fails, or a row in f32.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=bench/results/gpu tiny='' software='' limit=900 tests=1
while [ $# -gt 0 ]; do
  case $1 in
    --out) out=$2 && shift ;;
    --tiny) tiny=--tiny ;;
    --software) software=1 ;;
    --limit) limit=$2 && shift ;;
    --no-tests) tests='' ;;
    *) echo "bench/gpu.sh: $1 is no option" >&2 && exit 2 ;;
  esac
  shift
done
mkdir -p "$out"
pnpm="npx -y $(node -p 'require("./package.json").packageManager')"
if [ -z "$software" ]; then
  export LOWRANK_GPU=1
elif [ -z "${VK_DRIVER_FILES:-}" ]; then
  export LOWRANK_VK=${LOWRANK_VK:-swiftshader}
fi

[ -d node_modules ] || $pnpm install --frozen-lockfile || exit 1
TURBO_TELEMETRY_DISABLED=1 $pnpm exec turbo run build --filter='./packages/*' --output-logs=errors-only || exit 1
tiers=$(node bench/gpuTable.mjs --tiers ${software:+--software}) || exit 1
if [ -z "$tiers" ]; then
  echo 'NOT RUN: there is no GPU here (--software takes a software adapter)'
  exit 0
fi

failed=0
if [ -n "$tests" ]; then
  for tier in $tiers; do
    echo "== tests of WebGPU, tier $tier"
    # The tiers of 16 bits have tolerances of their own, which the tests of kernels know.
    case $tier in f16 | matrices) files=packages/webgpu forced='' ;; *) files='' forced=$tier ;; esac
    LOWRANK_TEST_TIERS=$tier LOWRANK_KERNELS=$forced $pnpm exec vitest run --project webgpu --no-color $files \
      >"$out/tests-$tier.log" 2>&1 || failed=1
    grep -E '^ *(Test Files|Tests) ' "$out/tests-$tier.log"
    grep -aE '^ *FAIL ' "$out/tests-$tier.log" | sort -u | head -n 20
  done
fi
node bench/gpuTable.mjs --out "$out" $tiny --limit "$limit" ${software:+--software} || failed=1
exit "$failed"
