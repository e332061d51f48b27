"""Times the program beside a former one, alternately: nothing changed, a cold demo, 1,000 stages, ten rows more.

    python3 tests/bench/former.py FORMER [--pipeline PATH] [--rounds N] [--rows N]

A ratio above 1 means slower than the former program. Seconds of processor say more than wall time on a busy machine.
"""

import argparse
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import chains
import measure
import rows

ROOT = Path(__file__).resolve().parents[2]


def run(command, folder):
    """Runs a command once; returns {wall_s, cpu_s}, to the microsecond."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=True)
    after, wall_s = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - began
    return {"wall_s": wall_s, "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}


def demo(folder):
    shutil.copytree(ROOT / "pipelines", folder / "pipelines")
    return ["run", "pipelines/demo.yaml", "--quiet", "--artifacts", "artifacts"]


def forget(folder):
    shutil.rmtree(folder / "artifacts", ignore_errors=True)


def stages(folder):
    chains.write("pipeline", 1000, 10, folder)
    return ["run", "pipeline.yaml", "--quiet"]


def images(folder, n_rows):
    (folder / "spec.yaml").write_text(rows.SPEC)
    with open(folder / "images.tsv", "w", encoding="ascii") as tsv:
        tsv.writelines(rows.row(number) for number in range(n_rows))
    return ["run", "spec.yaml", "--quiet"]


class More:
    """Appends ten rows before each run."""

    def __init__(self):
        self.n_rows = {}

    def __call__(self, folder):
        first = self.n_rows.setdefault(folder, 10**9)
        self.n_rows[folder] += 10
        with open(folder / "images.tsv", "a", encoding="ascii") as tsv:
            tsv.writelines(rows.row(number) for number in range(first, first + 10))


def alternate(programs, prepare, before, n_rounds):
    """Runs both programs in folders of their own; returns the runs of each."""
    with tempfile.TemporaryDirectory() as temporary:
        folders = [Path(temporary) / str(idx) for idx in range(len(programs))]
        for folder in folders:
            folder.mkdir()
        arguments = [prepare(folder) for folder in folders]
        runs = [[] for _ in programs]
        for program, folder, args in zip(programs, folders, arguments):
            run([program, *args], folder)
            run([program, *args], folder)
        for round_idx in range(n_rounds):
            for idx in sorted(range(len(programs)), reverse=round_idx % 2 == 1):
                before(folders[idx])
                runs[idx].append(run([programs[idx], *arguments[idx]], folders[idx]))
    return runs


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("former", help="the former program")
    parser.add_argument("--pipeline", default=str(ROOT / "target/release/pipeline"), help="the program")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each that take seconds")
    parser.add_argument("--rows", type=int, default=200_000, help="rows to which ten are added")
    options = parser.parse_args()
    programs = [str(Path(options.former).resolve()), str(Path(options.pipeline).resolve())]
    nothing = lambda folder: None
    work = [
        ("nothing changed", demo, nothing, 40 * options.rounds),
        ("cold demo", demo, forget, options.rounds),
        ("1,000 stages, nothing changed", stages, nothing, 4 * options.rounds),
        ("1,000 stages, all new", stages, forget, options.rounds),
        (f"10 rows more than {options.rows:,}", lambda folder: images(folder, options.rows), More(), options.rounds),
    ]
    print(measure.machine())
    table = []
    for name, prepare, before, n_rounds in work:
        former, now = alternate(programs, prepare, before, n_rounds)
        cells = [name, n_rounds]
        for what in ("wall_s", "cpu_s"):
            old, new = measure.median(former, what), measure.median(now, what)
            lows = [statistics.quantiles([run[what] for run in runs], n=10)[0] for runs in (former, now)]
            cells += [
                f"{old * 1e3:.1f}",
                f"{new * 1e3:.1f}",
                f"{new / max(old, 1e-9):.3f}",
                f"{lows[1] / max(lows[0], 1e-9):.3f}",
            ]
        table.append(cells)
        print(*cells, flush=True)
    head = ["work", "rounds", "former wall ms", "wall ms", "ratio", "of 10th percentiles"]
    measure.table([*head, "former cpu ms", "cpu ms", "ratio", "of 10th percentiles"], table)


if __name__ == "__main__":
    main()
