#!/bin/sh
# Installs what the benchmarks compare with, in a virtual environment of its own: tests/bench/setup_peers.sh [FOLDER]
# Needs python3 with venv and a package index (about 2.2 GB). Nothing of it is part of the product.
set -eu
folder=${1:-target/peers}
python3 -m venv "$folder"
"$folder/bin/pip" install --quiet --disable-pip-version-check \
    torch torchvision timm 'transformers<5' onnx onnxscript onnxruntime openvino faiss-cpu \
    pillow simplejpeg numpy pyarrow safetensors
"$folder/bin/python" "$(dirname "$0")/inputs.py" "$folder/inputs"
"$folder/bin/pip" list 2>/dev/null | grep -Ei '^(torch|timm|transformers|onnxruntime|openvino|faiss-cpu|pillow|simplejpeg|numpy|pyarrow) '
