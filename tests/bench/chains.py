"""Writes the same graph of small stages for several tools: N stages in chains of a given depth, each copying a file.

Stage (layer, column) copies d<layer-1>/<column>.txt to d<layer>/<column>.txt; d0 holds the inputs. turbo has no stages
but packages, so there a stage is a package that copies the file of the package it depends on.

    python3 tests/bench/chains.py pipeline 10000 10 FOLDER
"""

import json
import subprocess
import sys
from pathlib import Path


def write(tool, n_stages, depth, folder):
    folder = Path(folder)
    n_columns = n_stages // depth
    stages = [(layer, column) for layer in range(1, depth + 1) for column in range(n_columns)]
    if tool == "turbo":
        write_turbo(stages, folder)
        return
    for layer in range(depth + 1):
        (folder / f"d{layer}").mkdir(parents=True, exist_ok=True)
    for column in range(n_columns):
        (folder / f"d0/{column:05d}.txt").write_text(f"input {column:05d} {'x' * 34}\n")
    {"pipeline": write_pipeline, "ninja": write_ninja, "make": write_make}[tool](stages, folder, depth, n_columns)


def write_pipeline(stages, folder, *_):
    text = ["stages:\n"]
    for layer, column in stages:
        name, copy = f"{column:05d}.txt", f"d{layer}/{column:05d}.txt"
        source = f"$SPEC_DIR/d0/{name}" if layer == 1 else f"$INPUT_A/{name}"
        text.append(f"  s{layer}-{column:05d}:\n    kind: command\n")
        if layer > 1:
            text.append(f"    inputs: {{ a: s{layer - 1}-{column:05d} }}\n")
        text.append(f"    params:\n      run: [sh, -c, 'cp \"{source}\" {name}']\n      outputs: [{name}]\n")
        if layer == 1:
            text.append(f"      sources: [d0/{name}]\n")
        text.append(f"    publish: {{ {name}: {copy} }}\n")
    (folder / "pipeline.yaml").write_text("".join(text))


def write_ninja(stages, folder, *_):
    edges = [f"build d{k}/{i:05d}.txt: cp d{k - 1}/{i:05d}.txt\n" for k, i in stages]
    (folder / "build.ninja").write_text("rule cp\n command = cp $in $out\n" + "".join(edges))


def write_make(stages, folder, depth, n_columns):
    goals = " ".join(f"d{depth}/{i:05d}.txt" for i in range(n_columns))
    rules = [f"d{k}/{i:05d}.txt: d{k - 1}/{i:05d}.txt\n\t@cp $< $@\n" for k, i in stages]
    (folder / "Makefile").write_text(f"MAKEFLAGS += -r\n.PHONY: all\n.PRECIOUS:\nall: {goals}\n" + "".join(rules))


def write_turbo(stages, folder):
    folder.mkdir(parents=True, exist_ok=True)
    packages = {"": {"name": "root", "workspaces": ["p/*"]}}
    for layer, column in stages:
        name, above = f"s{layer}-{column:05d}", f"s{layer - 1}-{column:05d}"
        needs = {} if layer == 1 else {above: "*"}
        source = "in.txt" if layer == 1 else f"../{above}/out.txt"
        package = {"name": name, "version": "1.0.0", "dependencies": needs}
        here = folder / "p" / name
        here.mkdir(parents=True)
        (here / "package.json").write_text(json.dumps({**package, "scripts": {"build": f"cp {source} out.txt"}}))
        if layer == 1:
            (here / "in.txt").write_text(f"input {column:05d} {'x' * 34}\n")
        packages[f"node_modules/{name}"] = {"resolved": f"p/{name}", "link": True}
        packages[f"p/{name}"] = package
    root = {"name": "root", "private": True, "packageManager": "npm@10.8.2", "workspaces": ["p/*"]}
    task = {"dependsOn": ["^build"], "inputs": ["in.txt"], "outputs": ["out.txt"]}
    lock = {"name": "root", "lockfileVersion": 3, "requires": True, "packages": packages}
    for name, content in [
        ("package.json", root),
        ("turbo.json", {"tasks": {"build": task}}),
        ("package-lock.json", lock),
    ]:
        (folder / name).write_text(json.dumps(content))
    (folder / ".gitignore").write_text("out.txt\n.turbo\nnode_modules\n")
    git = ["git", "-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
        subprocess.run(git + arguments, cwd=folder, check=True)


if __name__ == "__main__":
    write(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
