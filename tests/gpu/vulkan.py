#!/usr/bin/env python3
"""Runs `--device wgpu` on Vulkan: vulkan.py PROGRAM FOLDER, where PROGRAM was built with the feature `wgpu`.

A driver that plays a GPU on the processor is enough (Debian: mesa-vulkan-drivers). Every family of encoders and
training with every option are compared with the processor's own code, and devices are taken by number. The exit code is
1 if something differs, or if there is no device.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import inputs
import run

LONGEST_RUN_S = 280
# The largest number that `--device` takes.
MOST_NUMBER = 1023


class Vulkan:
    """The program on the first device of Vulkan, with folders of its own below one."""

    # For the checks that count calls of a driver; this one counts nothing.
    counts = None

    def __init__(self, program, folder):
        self.program, self.folder = program, folder

    def run(self, spec, store, device="wgpu", **_):
        """Runs a spec; returns the process as it ended."""
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("PIPELINE_", "CUBECL_"))
        }
        words = [self.program, "run", spec, "--artifacts", store, "--device", device, "--quiet"]
        return subprocess.run(
            [str(word) for word in words],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LONGEST_RUN_S,
        )


def numbered(vulkan, checks):
    """The first device has the number 0; a number that there is none for is refused by name before any work."""
    most = vulkan.run("sound.yaml", vulkan.folder / "absent-wgpu", device=f"wgpu:{MOST_NUMBER}")
    shown = re.search(rf"there is no `wgpu:{MOST_NUMBER}`: Vulkan or Metal shows (\d+) devices?: 0 is `", most.stderr)
    n_devices = int(shown.group(1)) if shown else 0
    checks.say(n_devices > 0, "the devices that there are", f"{n_devices}" if shown else most.stderr[-500:])
    for device in (f"wgpu:{n_devices}", f"wgpu:0,{n_devices}"):
        store = vulkan.folder / "absent-wgpu"
        done = vulkan.run("sound.yaml", store, device=device)
        holds = (
            done.returncode == 2 and f"there is no `wgpu:{n_devices}`" in done.stderr and not list(store.glob("runs/*"))
        )
        checks.say(holds, f"`{device}` is refused", "" if holds else f"exit {done.returncode}: {done.stderr[-500:]}")
    run.emulated(vulkan, checks, "sound", device="wgpu:0")


def main():
    program, folder = (Path(word).resolve() for word in sys.argv[1:])
    folder.mkdir(parents=True, exist_ok=True)
    checks = run.Checks()
    for name in ("families", "training", "batches", "sound"):
        (folder / f"{name}.yaml").write_text(getattr(inputs, name)(folder))
    vulkan = Vulkan(program, folder)
    for made in (*folder.glob("*-wgpu"), *folder.glob("sound-*")):
        shutil.rmtree(made)
    numbered(vulkan, checks)
    for name in ("families", "training", "batches"):
        run.emulated(vulkan, checks, name)
    print(f"{checks.n_failed} checks failed" if checks.n_failed else "all of it holds")
    return checks.n_failed > 0


if __name__ == "__main__":
    sys.exit(main())
