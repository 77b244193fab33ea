#!/usr/bin/env bash
# Times Oxidiff and OpenVINO or PyTorch in turn on one pipeline folder in the layout of diffusers, and prints the ratios.
#
# Usage: benches/compare.sh MODEL [ROUNDS] [DTYPE]
# PYTHON names a Python with torch, diffusers and openvino; by default python3. SIZE and BATCH are those of the latents, by default
# what the model was trained on and 2. PEERS lists the others, by default "openvino torch".
set -euo pipefail
cd "$(dirname "$0")/.."

model=${1:?a pipeline folder} rounds=${2:-3} dtype=${3:-f32} python=${PYTHON:-python3}
cargo build --release --workspace --quiet
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

options=()
[[ -z ${SIZE:-} ]] || options+=(--size "$SIZE")
[[ -z ${BATCH:-} ]] || options+=(--batch "$BATCH")

# Converting the models takes longer than running them, and does not belong to what is compared.
"$python" benches/peers.py prepare "$model" "$results/openvino"
for ((round = 1; round <= rounds; round++)); do
    target/release/oxidiff bench "$model" --runs 1 --dtype "$dtype" "${options[@]}" | sed 's/^/oxidiff /'
    for peer in ${PEERS:-openvino torch}; do
        case $peer in
        openvino) "$python" benches/peers.py openvino "$results/openvino" "$dtype" ;;
        *) "$python" benches/peers.py "$peer" "$model" "$dtype" ;;
        esac
    done
done | tee "$results/log"
"$python" benches/peers.py ratios "$results/log"
