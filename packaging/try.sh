#!/usr/bin/env bash
# try.sh FOLDER: runs the demo from the archive in FOLDER and from its wheel, in empty folders; needs python3 with venv.
set -euo pipefail
folder=$(realpath "$1")
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"
unset PIPELINE_ARTIFACTS

demo() { # demo PROGRAM FOLDER: the demo's result must be that of the README
    local result start=$SECONDS
    result=$("$1" demo "$2" --quiet)
    [[ $result == *MeanRecall=0.1646* ]] || { echo "try.sh: $1 found $result" >&2; exit 1; }
    (cd "$2" && "$1" report demo -o report.html --quiet)
    echo "$2: $result; with the report $((SECONDS - start)) s"
}

mkdir archive
tar -xzf "$folder"/pipeline-*-linux-musl.tar.gz --strip-components 1 -C archive
demo "$place/archive/pipeline" from-the-archive
for file in man/man1/pipeline.1 man/man1/pipeline-run.1 completions/{pipeline.bash,_pipeline,pipeline.fish}; do
    [[ -s archive/$file ]] || { echo "try.sh: the archive has no $file" >&2; exit 1; }
done

python3 -m venv wheel
wheel/bin/pip install --quiet --no-index "$folder"/*.whl
demo "$place/wheel/bin/pipeline" from-the-wheel
