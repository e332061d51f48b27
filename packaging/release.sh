#!/usr/bin/env bash
# release.sh TARGET FOLDER: builds what a release has for one target: a static binary in an archive, and a wheel.
# TARGET is x86_64-unknown-linux-musl or aarch64-unknown-linux-musl. Needs the target in rustup, musl-gcc and maturin.
set -euo pipefail
target=$1
mkdir -p "$2"
folder=$(realpath "$2")
cd "$(dirname "$0")/.."

# A static binary suits any libc, and pip asks for a name of each.
maturin build --release --target "$target" --compatibility manylinux_2_17 musllinux_1_1 --out "$folder"

binary=${CARGO_TARGET_DIR:-target}/$target/release/pipeline
if ldd "$binary" >/dev/null 2>&1 && ldd "$binary" | grep -q '=>'; then
    echo "release.sh: $binary is not static" >&2
    exit 1
fi
version=$("$binary" --version)
name=pipeline-${version#pipeline }-$target

staged=$(mktemp -d)
trap 'rm -rf "$staged"' EXIT
mkdir -p "$staged/$name/completions"
"$binary" man "$staged/$name/man/man1"
"$binary" completions bash > "$staged/$name/completions/pipeline.bash"
"$binary" completions zsh > "$staged/$name/completions/_pipeline"
"$binary" completions fish > "$staged/$name/completions/pipeline.fish"
cp "$binary" LICENSE-MIT LICENSE-APACHE README.md CHANGELOG.md "$staged/$name"
cp pipelines/demo/README.md "$staged/$name/DEMO-CREDITS.md"
cp pipelines/demo/LICENSE-emojibase "$staged/$name"
tar -C "$staged" --owner=0 --group=0 --numeric-owner -czf "$folder/$name.tar.gz" "$name"
