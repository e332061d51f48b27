#!/usr/bin/env python3
"""Runs `--device wgpu` on Vulkan: vulkan.py PROGRAM FOLDER, where PROGRAM was built with the feature `wgpu`.

A driver that plays a GPU on the processor is enough (Debian: mesa-vulkan-drivers). Every family of encoders and training
with every option are compared with the processor's own code; the exit code is 1 if one differs, or if there is no device.
"""

import os
import subprocess
import sys
from pathlib import Path

import inputs
import run

LONGEST_RUN_S = 280


class Vulkan:
    """The program on the first device of Vulkan, with folders of its own below one."""

    # For the checks that count calls of a driver; this one counts nothing.
    counts = None

    def __init__(self, program, folder):
        self.program, self.folder = program, folder

    def run(self, spec, store, device="wgpu", **_):
        """Runs a spec; returns the process as it ended."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PIPELINE_", "CUBECL_"))}
        words = [self.program, "run", spec, "--artifacts", store, "--device", device, "--quiet"]
        return subprocess.run(
            [str(word) for word in words], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=LONGEST_RUN_S
        )


def main():
    program, folder = (Path(word).resolve() for word in sys.argv[1:])
    folder.mkdir(parents=True, exist_ok=True)
    checks = run.Checks()
    for name in ("families", "training", "batches"):
        (folder / f"{name}.yaml").write_text(getattr(inputs, name)(folder))
        run.emulated(Vulkan(program, folder), checks, name)
    print(f"{checks.n_failed} checks failed" if checks.n_failed else "all of it holds")
    return checks.n_failed > 0


if __name__ == "__main__":
    sys.exit(main())
