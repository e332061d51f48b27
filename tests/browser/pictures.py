#!/usr/bin/env python3
"""Makes the pictures of the README and of docs/gallery.md: recorded terminals, and pages, light and dark.

    python3 tests/browser/pictures.py PROGRAM [FOLDER]

Runs the demo and a sweep with PROGRAM in a temporary copy of `pipelines/`. FOLDER is `docs/images` unless it is given.
Needs Python and a Chromium, as `report.py` does, and a font with Chinese. `make pictures` builds the program first.
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
# What is shown of the pages: from which element on, and how many pixels of height.
REPORT = {"result": ("body", 500), "won": ("#changes", 620), "gallery": ("#gallery", 600)}
HALVING = {"rungs": ("#rungs", 300), "curves": ("#curves", 510)}
GRID = {"axes": ("#heat", 420)}
CHANGE = "projection.params.temperature=0.05"
# Each recording, and the longest that it plays, in seconds.
RECORDED = {
    "terminal": (12, ["pipeline run demo", f"pipeline run demo --set {CHANGE}"]),
    "session": (
        20,
        [
            "pipeline graph demo",
            "pipeline run demo",
            f"pipeline why demo evaluate --set {CHANGE}",
            f"pipeline run demo --set {CHANGE}",
            "pipeline diff last~1 last",
        ],
    ),
}
SWEPT = {"halving": HALVING, "grid": GRID}
# What all pictures together may weigh, so that a clone stays small.
MOST_BYTES = 450_000


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    program = Path(sys.argv[1]).resolve()
    folder = Path(sys.argv[2] if len(sys.argv) == 3 else ROOT / "docs/images").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pipeline-", ignore_cleanup_errors=True) as scratch:
        project, bin_folder = Path(scratch) / "demo", Path(scratch) / "bin"
        bin_folder.mkdir()
        (bin_folder / "pipeline").symlink_to(program)
        environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}", "COLUMNS": "118"}
        environment.pop("PIPELINE_ARTIFACTS", None)
        for name, (longest, commands) in RECORDED.items():
            shutil.rmtree(project, ignore_errors=True)
            shutil.copytree(ROOT / "pipelines", project / "pipelines")
            (project / "artifacts").mkdir()
            recorder = [sys.executable, Path(__file__).parent / "terminal.py", folder / f"{name}.svg", *commands]
            subprocess.run(recorder, cwd=project, env={**environment, "LONGEST": str(longest)}, check=True)
            recording = folder / f"{name}.svg"
            recording.write_text(recording.read_text().replace(str(project), "~/demo"))

        def run(*words):
            words = [program, *words, "--quiet"]
            subprocess.run(words, cwd=project, env=environment, check=True, stdout=subprocess.DEVNULL)

        browser, page = Browser(Path(scratch) / "profile"), Path(scratch) / "page.html"
        run("report", "demo", "--compare", "last~1", "-o", page)
        shoot(browser, page, REPORT, folder)
        for name, parts in SWEPT.items():
            spec = f"pipelines/experiments/{name}.yaml"
            run("sweep", spec)
            run("report", spec, "-o", page)
            shoot(browser, page, parts, folder)
        browser.end()
    pictures = sorted(folder.iterdir())
    n_bytes = sum(picture.stat().st_size for picture in pictures)
    for picture in pictures:
        print(f"{picture.stat().st_size:8} {picture.name}")
    if n_bytes > MOST_BYTES:
        sys.exit(f"the pictures weigh {n_bytes} bytes, and may weigh {MOST_BYTES}")


def shoot(browser, page, parts, folder):
    """Parts of a page in both themes."""
    for theme in ["light", "dark"]:
        browser.show(page.as_uri(), SCREEN, theme)
        browser.ask("document.querySelectorAll('button[data-group=best]').forEach(button => button.click())")
        for name, (element, height) in parts.items():
            top = browser.ask(f"return document.querySelector('{element}').getBoundingClientRect().top + scrollY - 8")
            clip = {"x": 0, "y": max(0, top), "width": SCREEN["width"], "height": height, "scale": 1}
            options = {"format": "webp", "quality": 60, "captureBeyondViewport": True}
            picture = browser.call("Page.captureScreenshot", clip=clip, **options)["data"]
            (folder / f"{name}-{theme}.webp").write_bytes(base64.b64decode(picture))


if __name__ == "__main__":
    main()
