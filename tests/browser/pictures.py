#!/usr/bin/env python3
"""Makes the pictures of the README: a recorded terminal, and the demo's report, light and dark.

    python3 tests/browser/pictures.py PROGRAM [FOLDER]

Runs the demo with PROGRAM in a temporary copy of `pipelines/`. FOLDER is `docs/images` unless it is given. Needs
Python and a Chromium, as `report.py` does, and a font with Chinese. `make pictures` builds the program first.
"""

import base64
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from report import Browser

ROOT = Path(__file__).resolve().parents[2]
SCREEN = {"width": 1100, "height": 900, "deviceScaleFactor": 1, "mobile": False}
# What is shown of the report: from which element on, and how many pixels of height.
PARTS = {"result": ("body", 500), "gallery": ("#gallery", 600)}
RECORDED = ["pipeline run demo", "pipeline run demo --set projection.params.temperature=0.05"]
# What all pictures together may weigh, so that a clone stays small.
MOST_BYTES = 150_000


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    program = Path(sys.argv[1]).resolve()
    folder = Path(sys.argv[2] if len(sys.argv) == 3 else ROOT / "docs/images").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pipeline-", ignore_cleanup_errors=True) as scratch:
        project, bin_folder = Path(scratch) / "demo", Path(scratch) / "bin"
        shutil.copytree(ROOT / "pipelines", project / "pipelines")
        (project / "artifacts").mkdir()
        bin_folder.mkdir()
        (bin_folder / "pipeline").symlink_to(program)
        environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", "COLUMNS": "118"}
        environment.pop("PIPELINE_ARTIFACTS", None)
        recorder = [sys.executable, Path(__file__).parent / "terminal.py", folder / "terminal.svg", *RECORDED]
        subprocess.run(recorder, cwd=project, env=environment, check=True)
        report = Path(scratch) / "report.html"
        words = [program, "report", "demo", "--compare", "last~1", "-o", report, "--quiet"]
        subprocess.run(words, cwd=project, env=environment, check=True, stdout=subprocess.DEVNULL)
        shoot(report, folder, Path(scratch) / "profile")
    pictures = sorted(folder.iterdir())
    n_bytes = sum(picture.stat().st_size for picture in pictures)
    for picture in pictures:
        print(f"{picture.stat().st_size:8} {picture.name}")
    if n_bytes > MOST_BYTES:
        sys.exit(f"the pictures weigh {n_bytes} bytes, and may weigh {MOST_BYTES}")


def shoot(report, folder, profile):
    """Parts of the report in both themes."""
    browser = Browser(profile)
    for theme in ["light", "dark"]:
        browser.show(report.as_uri(), SCREEN, theme)
        browser.ask("document.querySelector('button[data-group=best]').click()")
        for name, (element, height) in PARTS.items():
            top = browser.ask(f"return document.querySelector('{element}').getBoundingClientRect().top + scrollY - 8")
            clip = {"x": 0, "y": max(0, top), "width": SCREEN["width"], "height": height, "scale": 1}
            options = {"format": "webp", "quality": 60, "captureBeyondViewport": True}
            picture = browser.call("Page.captureScreenshot", clip=clip, **options)["data"]
            (folder / f"{name}-{theme}.webp").write_bytes(base64.b64decode(picture))
    browser.end()


if __name__ == "__main__":
    main()
