#!/usr/bin/env python3
"""Runs `--device cuda` without a card: run.py PROGRAM FOLDER, where PROGRAM was built with the feature `cuda`, and
beside it
`examples/card_search`.

The stand-in for the driver (standin/) executes every kernel on the processor; NVIDIA's own compiler and assembler,
which come as Python wheels, make the same kernels for cards. Each check prints a line; the exit code is 1 if one fails.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import inputs
import results
import training_ceiling

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# Of two processors: programs under test wait for compilers most of the time.
N_JOBS = 2
# Compute capabilities: with tensor cores or without, and the assembler's names for them.
CARDS = {75: "sm_75", 90: "sm_90a", 120: "sm_120a"}
LONGEST_RUN_S = 280
# The exit code of a run that was interrupted.
INTERRUPTED = 130
# A copy: its weights are published beside it.
DEMO = "pipelines/demo.yaml"
# The launches of the probe, which looks at their result.
PROBE_LAUNCHES = 1
# Of a step of training, whatever its options are.
MOST_LAUNCHES = 40
# The most lines of an error: the message, its causes and two lines of advice.
MOST_LINES = 8
MOST_CHARACTERS = 700
FAULTS = [
    *(f"{kind}:{n}" for kind in ("module", "compile") for n in (1, 2, 30)),
    *(f"launch:{n}" for n in (1, 2, 90, 700)),
    *(f"upload:{n}" for n in (1, 3, 40, 150, 330)),
    *(f"download:{n}" for n in (1, 2, 4, 9)),
    *(f"sync:{n}" for n in (1, 2, 6, 16)),
    *(f"memory:{n}" for n in (1, 2, 4)),
    *(f"lost:{n}" for n in (1, 60, 900)),
]

# Faults of a search, which makes few calls of each kind.
RANKING_FAULTS = "module:2 module:3 compile:2 launch:2 launch:5 upload:3 upload:8 download:2 download:4 lost:60".split()


class Checks:
    """What was checked, and what failed."""

    def __init__(self):
        self.n_failed = 0
        self.start = time.monotonic()

    def say(self, holds, name, found=""):
        self.n_failed += not holds
        seconds = time.monotonic() - self.start
        print(f"[{seconds:5.0f} s] {'ok' if holds else 'FAILED':7}{name}{': ' if found else ''}{found}", flush=True)


class StandIn:
    """The program on the stand-in, with folders of its own below one."""

    probe_launches = PROBE_LAUNCHES

    def __init__(self, program, folder, toolkit):
        self.program, self.folder, self.toolkit = program, folder, toolkit
        self.kernels = folder / "kernels"
        self.counts = folder / "counts.jsonl"

    def environment(self, kernels, compiles, **more):
        """Variables of the stand-in; those that would change what the program does are taken out."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("STANDIN_", "PIPELINE_", "CUBECL_"))
        }
        kernels.mkdir(parents=True, exist_ok=True)
        own = {
            "LD_LIBRARY_PATH": f"{self.folder / 'standin'}:{self.toolkit / 'lib'}",
            "CUDA_PATH": str(self.toolkit),
            "STANDIN_KERNELS": str(kernels),
            **({"STANDIN_NVRTC": str(self.toolkit / "lib" / "libnvrtc.so.13")} if compiles else {}),
        }
        return {**kept, **own, **{name: str(value) for name, value in more.items()}}

    def run(self, spec, store, kernels=None, compiles=True, device="cuda", arguments=(), **more):
        """Runs a spec; returns the process as it ended."""
        words = [self.program, "run", spec, "--artifacts", store, "--device", device, "--quiet", *arguments]
        environment = self.environment(kernels or self.kernels, compiles, **more)
        return subprocess.run(
            [str(word) for word in words],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LONGEST_RUN_S,
        )


def prepared(folder):
    """The toolkit's folder, or the reason why there is none."""
    if not shutil.which("g++"):
        return None, "there is no g++"
    site = folder / "site"
    wanted = (HERE / "requirements.txt").read_text()
    stamp = site / "requirements.txt"
    if not stamp.is_file() or stamp.read_text() != wanted:
        words = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
            "--no-deps",
            "--require-hashes",
        ]
        words += ["--upgrade", "--target", site, "-r", HERE / "requirements.txt"]
        try:
            made = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=240)
        except subprocess.TimeoutExpired:
            return None, "the wheels of NVIDIA's compiler do not come within four minutes"
        if made.returncode:
            lines = made.stderr.strip().splitlines() or ["it says nothing"]
            return None, f"the wheels of NVIDIA's compiler cannot be had: {lines[-1]}"
        stamp.write_text(wanted)
    subprocess.run([HERE / "standin" / "build.sh", folder / "standin"], check=True)
    return site / "nvidia" / "cu13", None


def emulated(standin, checks, name, **device):
    """Runs a spec on the processor and on the stand-in, and compares everything that they made."""
    spec, reference, store = f"{name}.yaml", standin.folder / f"{name}-cpu", standin.folder / f"{name}-cuda"
    expected = standin.run(spec, reference, device="cpu")
    done = standin.run(spec, store, STANDIN_COUNTS=standin.counts, **device)
    if expected.returncode or done.returncode:
        checks.say(
            False, f"{name}, emulated", f"exit {expected.returncode} and {done.returncode}: {done.stderr[-1500:]}"
        )
        return
    for stage, what, precision, found in results.differences(standin, spec, reference, store):
        checks.say(
            found <= results.TOLERANCES[precision][what],
            f"{name}: {stage}",
            f"{what} in {precision} differ by {found:.1e}",
        )


def assembled(standin, checks, arch, kernels):
    """Assembles every kernel for a card as its driver would."""
    ptxas, found = standin.toolkit / "bin" / "ptxas", sorted(kernels.glob("*.ptx"))

    def one(path):
        words = [ptxas, f"-arch={CARDS[arch]}", path, "-o", path.with_suffix(f".{arch}.cubin")]
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
        return [] if done.returncode == 0 else [f"{path.name}: {done.stderr.strip()[:300]}"]

    with ThreadPoolExecutor(N_JOBS) as pool:
        failed = sum(pool.map(one, found), [])
    refused = list(kernels.glob("*.refused"))
    checks.say(
        bool(found) and not failed and not refused,
        f"{len(found)} kernels compile and assemble for {CARDS[arch]}",
        "; ".join(failed[:3]),
    )


def compiled(standin, checks, arch, kernels, specs):
    """Compiles and assembles what a card of this architecture would run; nothing is executed but the probe."""
    for spec in specs:
        name = Path(spec).stem
        few = [f"--set={split}-images.params.max_samples=24" for split in ("train", "valid")] if name == "demo" else []
        store = standin.folder / f"{name}-{arch}"
        done = standin.run(spec, store, kernels, arguments=few, STANDIN_ARCH=arch, STANDIN_IDLE=PROBE_LAUNCHES)
        checks.say(
            done.returncode == 0, f"{name} compiles for {CARDS[arch]}", done.stderr[-500:] if done.returncode else ""
        )
    searched_on_card(standin, kernels, STANDIN_ARCH=arch, STANDIN_IDLE=PROBE_LAUNCHES)
    assembled(standin, checks, arch, kernels)


def searched_on_card(standin, kernels, compiles=True, **more):
    """Runs searches of made-up embeddings on the card and on the processor; returns the process as it ended."""
    words, environment = (
        [standin.program.parent / "examples" / "card_search"],
        standin.environment(kernels, compiles, **more),
    )
    return subprocess.run(
        words, cwd=standin.folder, env=environment, capture_output=True, text=True, timeout=LONGEST_RUN_S
    )


def rankings(standin, checks):
    """Rankings of the card are those of the processor to the last bit, or there are none."""
    done = searched_on_card(standin, standin.kernels)
    cases = [json.loads(line) for line in done.stdout.splitlines()]
    different = [case["sizes"] for case in cases if not case["equal"]]
    holds = done.returncode == 0 and len(cases) == 8 and not different
    checks.say(holds, "rankings", f"{len(cases)} cases, other bits in {different}; {done.stderr[-300:]}")
    codes = {
        fault: searched_on_card(standin, standin.kernels, False, STANDIN_FAULT=fault).returncode
        for fault in RANKING_FAULTS
    }
    checks.say(set(codes.values()) == {3}, "each fault of a search stops it", str(codes))


def faulty(standin, checks, fault):
    """Breaks one call of the driver: the run says so in a few lines, or its results are those of a sound run."""
    store = standin.folder / "faults" / fault.replace(":", "-")
    sound = standin.folder / "sound-cuda"
    done = standin.run("sound.yaml", store, compiles=False, STANDIN_FAULT=fault)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("warning:")]
    wrong = results.unequal(sound, store)
    problems = [f"wrong artifacts of {', '.join(wrong)}"] if wrong else []
    if done.returncode not in (0, 2, 3):
        problems.append(f"exit {done.returncode}")
    if done.returncode and not any("CUDA" in line or "GPU" in line for line in lines):
        problems.append("the error does not name the cause")
    if (
        len(lines) > MOST_LINES
        or len("\n".join(lines)) > MOST_CHARACTERS
        or "#include" in done.stderr
        or "bug in pipeline" in done.stderr
    ):
        problems.append(f"{len(lines)} lines of error")
    after = standin.run("sound.yaml", store, compiles=False) if done.returncode else done
    if after.returncode or results.unequal(sound, store):
        problems.append(f"the next run does not end well: exit {after.returncode}")
    checks.say(
        not problems,
        f"fault {fault}, exit {done.returncode}",
        "; ".join(problems) + ("\n" + done.stderr[:2000] if problems else ""),
    )
    shutil.rmtree(store, ignore_errors=True)
    return done.returncode


def faults(standin, checks):
    """Every kind of fault, at the probe, early and late."""
    done = standin.run("sound.yaml", standin.folder / "sound-cuda", compiles=False)
    checks.say(done.returncode == 0, "one stage of each kind", done.stderr[-500:] if done.returncode else "")
    with ThreadPoolExecutor(N_JOBS) as pool:
        codes = dict(zip(FAULTS, pool.map(lambda fault: faulty(standin, checks, fault), FAULTS)))
    for kind in ("module", "compile", "launch", "upload", "download", "memory", "lost"):
        checks.say(
            codes[f"{kind}:1"] == 2,
            f"the probe finds a fault of kind {kind} before any work",
            f"exit {codes[f'{kind}:1']}",
        )
    stopped = {fault.split(":")[0] for fault, code in codes.items() if code == 3}
    needed = {"module", "compile", "launch", "upload", "download", "sync", "memory", "lost"}
    checks.say(stopped >= needed, "each kind of fault stops a stage with exit 3", ", ".join(sorted(stopped)))


def several_cards(standin, checks):
    """Two cards give what one gives, share the work, and fail by name."""
    (standin.folder / "cards.yaml").write_text(inputs.cards(standin.folder))
    sound = standin.folder / "cards-one-cuda"

    def one(name, n_cards=2, device="cuda", stages=(), **more):
        store, counts = standin.folder / f"cards-{name}-cuda", standin.folder / f"cards-{name}.jsonl"
        more |= {"STANDIN_CARDS": n_cards, "STANDIN_COUNTS": counts}
        done = standin.run("cards.yaml", store, device=device, arguments=stages, **more)
        return done, store, results.counts(counts)["launches"]

    def shared():
        """One stage on two cards, then the others, each on one of them."""
        return one("both", stages=("tokens",)), one("both", 3, "cuda:0,2")

    alone, _, _ = one("one", n_cards=1)
    checks.say(alone.returncode == 0, "one card", alone.stderr[-500:] if alone.returncode else "")
    with ThreadPoolExecutor(N_JOBS) as pool:
        jobs = [pool.submit(shared), pool.submit(one, "second", device="cuda:1")]
        (stage, both), second = [job.result() for job in jobs]
    for (done, store, launches), what, used in (
        (stage, "one stage on two cards", [1, 1]),
        (both, "other stages on two of three cards", [1, 0, 1]),
        (second, "all stages on the second card", [0, 1]),
    ):
        same = done.returncode == 0 and not results.unequal(sound, store)
        # The trial is one launch.
        works = [int(n > PROBE_LAUNCHES) for n in launches] == used
        checks.say(
            same and works,
            f"{what}: the same artifacts",
            f"launches {launches}{done.stderr[-500:] if done.returncode else ''}",
        )
    for name, device, more, code, words in (
        ("absent", "cuda:2", {}, 2, ("there is no `cuda:2`", "2 devices", "`stand-in 1`")),
        ("full", "cuda", {"STANDIN_MEMORY": f"{16 << 30},{100 << 20}"}, 2, ("`cuda:1`", "MiB of memory free")),
        (
            "untried",
            "cuda",
            {"STANDIN_FAULT": f"launch:{PROBE_LAUNCHES}@1"},
            2,
            ("a small kernel fails on the GPU `cuda:1`",),
        ),
        ("lost", "cuda", {"STANDIN_FAULT": "lost:150@1"}, 3, ("the GPU `cuda:1` failed",)),
    ):
        done, store, launches = one(name, device=device, **more)
        wrong = results.unequal(sound, store)
        holds = done.returncode == code and all(word in done.stderr for word in words) and not wrong
        checks.say(
            holds,
            f"a card that is {name}, exit {done.returncode}",
            "" if holds else f"{', '.join(wrong)} {done.stderr[:2000]}",
        )
    for n_cards, works in ((2, [True, True]), (1, [True])):
        words = ("--keep-going", "--gpu-jobs", "1")
        done, store, launches = one(f"losing-{n_cards}", n_cards, stages=words, STANDIN_FAULT="lost:150")
        failed = [line for line in done.stderr.splitlines() if line.startswith("error: stage")]
        # With another card left, one stage fails for the lost one; without, all that need a card do, and say why.
        named = len(failed) == 1 if n_cards > 1 else done.stderr.count("no card is left") == len(failed) - 1 > 0
        holds = (
            done.returncode == 3
            and named
            and [n > PROBE_LAUNCHES for n in launches] == works
            and not results.unequal(sound, store)
        )
        checks.say(
            holds,
            f"stages after a lost card, {n_cards - 1} left",
            f"{len(failed)} failed, launches {launches}{'' if holds else done.stderr[:2000]}",
        )
    after, store, _ = one("lost")
    checks.say(
        after.returncode == 0 and not results.unequal(sound, store),
        "the run after a lost card",
        after.stderr[-500:] if after.returncode else "",
    )
    environment = standin.environment(standin.kernels, True, STANDIN_CARDS=2)
    done = subprocess.run(
        [str(standin.program), "doctor"], env=environment, cwd=standin.folder, capture_output=True, text=True
    )
    listed = [line.strip() for line in done.stdout.splitlines() if ": stand-in " in line]
    holds = len(listed) == 2 and all(
        line.startswith(f"{number}: stand-in {number}") and "GiB free" in line for number, line in enumerate(listed)
    )
    checks.say(holds, "doctor: each card and its memory", "; ".join(listed))


def small_card(standin, checks):
    """A card without room is named before any work."""
    done = standin.run("sound.yaml", standin.folder / "small", compiles=False, STANDIN_MEMORY=100 << 20)
    checks.say(
        done.returncode == 2 and "MiB of memory free" in done.stderr,
        "a card of 100 MiB is refused",
        done.stderr.splitlines()[0],
    )


def missing_parts(standin, checks):
    """The compiler and its headers are found in wheels, or missed by name."""
    environment = standin.environment(standin.kernels, False)
    del environment["CUDA_PATH"]
    doctor = [str(standin.program), "doctor"]
    for what, more, expected in [
        ("headers in the wheels of Python", {"PYTHONPATH": str(standin.folder / "site")}, "ready for"),
        ("no headers", {"PYTHONPATH": "", "PATH": "/nowhere"}, "no CUDA headers"),
        ("no driver", {"LD_LIBRARY_PATH": ""}, "no CUDA driver library"),
    ]:
        done = subprocess.run(doctor, env={**environment, **more}, cwd=standin.folder, capture_output=True, text=True)
        line = next((line for line in done.stdout.splitlines() if line.startswith("cuda")), "")
        checks.say(expected in line, f"doctor: {what}", line[12:140])


def memory(standin, checks):
    """Many trainings in one process hold what one holds."""
    peaks = {}
    for n_trainings in (1, 18):
        (standin.folder / "sweep.yaml").write_text(inputs.sweep(standin.folder, n_trainings))
        counts = standin.folder / f"sweep-{n_trainings}.jsonl"
        done = standin.run("sweep.yaml", standin.folder / f"sweep-{n_trainings}", compiles=False, STANDIN_COUNTS=counts)
        peaks[n_trainings] = results.counts(counts)["peak"] if done.returncode == 0 else None
    found = ", ".join(f"{n} trainings {peak} bytes" for n, peak in peaks.items())
    checks.say(None not in peaks.values() and peaks[18] <= peaks[1], "18 trainings hold what one holds", found)


def shared_card(standin, checks):
    """Trainings on one card at once share its memory: features that do not fit there twice stay on the host."""
    (standin.folder / "shared.yaml").write_text(inputs.shared(standin.folder))
    n_bytes = inputs.SHARED_ROWS * sum(inputs.SHARED_WIDTHS.values()) * 4
    for memory, passes in ((16 << 30, 2), (800 << 20, 1 + inputs.SHARED_EPOCHS), (540 << 20, 2 * inputs.SHARED_EPOCHS)):
        counts = standin.folder / f"shared-{memory >> 20}.jsonl"
        more = {"STANDIN_IDLE": standin.probe_launches, "STANDIN_MEMORY": memory, "STANDIN_COUNTS": counts}
        # Both are at work before the first one ends.
        more["STANDIN_SLOW"] = "upload:20"
        forced = [word for idx in range(2) for word in ("--force", f"train-{idx}")]
        done = standin.run(
            "shared.yaml",
            standin.folder / "shared-cuda",
            compiles=False,
            arguments=["--gpu-jobs", "2", *forced],
            **more,
        )
        uploaded = results.counts(counts)["uploaded"] / n_bytes
        found = f"features are uploaded {uploaded:.2f} times{done.stderr[-500:] if done.returncode else ''}"
        # Weights and rows are uploaded, too.
        checks.say(
            done.returncode == 0 and passes <= uploaded < passes + 0.2,
            f"two trainings on a card of {memory >> 20} MiB",
            found,
        )


def stopped(standin, checks):
    """A training stops soon while its features go to a slow card; needs the store of [`shared_card`]."""
    store = standin.folder / "shared-cuda"
    before = set(store.glob("runs/*/events.jsonl"))
    words = [
        standin.program,
        "run",
        "shared.yaml",
        "--artifacts",
        store,
        "--device",
        "cuda",
        "--quiet",
        "--force",
        "train-0",
    ]
    environment = standin.environment(
        standin.kernels, False, STANDIN_IDLE=standin.probe_launches, STANDIN_SLOW="upload:300"
    )
    process = subprocess.Popen(
        [str(word) for word in words], cwd=standin.folder, env=environment, stderr=subprocess.PIPE, text=True
    )

    def has_begun():
        events = (path.read_text() for path in set(store.glob("runs/*/events.jsonl")) - before)
        return any('"stage-started"' in text for text in events)

    while process.poll() is None and not has_begun():
        time.sleep(0.05)
    # Its features take nine seconds, and the first of them are on their way.
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    start = time.monotonic()
    _, stderr = process.communicate(timeout=LONGEST_RUN_S)
    seconds = time.monotonic() - start
    holds = process.returncode == INTERRUPTED and seconds < 1
    checks.say(
        holds, "a training stops while its features go to a card", f"{seconds:.1f} s{'' if holds else stderr[-300:]}"
    )


def training_calls(standin, checks):
    """A step of training is a few launches; an epoch of a few steps is one upload, and one wait for the losses."""
    for name, params in training_ceiling.TRAININGS.items():
        launches, uploads, downloads, syncs = training_ceiling.of_a_step(standin, params)
        found = (
            f"{launches:g} launches a step; {uploads:g} uploads, {downloads:g} downloads and {syncs:g} waits an epoch"
        )
        checks.say(
            launches <= MOST_LAUNCHES and uploads == downloads == syncs == 1, f"calls of a training: {name}", found
        )


def start(standin, checks):
    """A second process compiles nothing; a damaged cache is compiled again, and the results are the same."""
    store = standin.folder / "start-cuda"
    compiled, folders = [], [standin.kernels]
    for name, change in (("first", None), ("second", None), ("damaged", "flip")):
        [packed] = store.glob("store-v1/kernels/*") if change else [None]
        if packed:
            content = bytearray(packed.read_bytes())
            content[len(content) // 2] ^= 1
            packed.write_bytes(content)
        kernels = standin.folder / f"kernels-start-{name}"
        shutil.rmtree(kernels, ignore_errors=True)
        # Libraries are there for all: what this process compiles leaves its text.
        kernels.mkdir()
        for library in (library for folder in folders for library in folder.glob("*.so")):
            (kernels / library.name).unlink(missing_ok=True)
            (kernels / library.name).symlink_to(library)
        folders.append(kernels)
        forced = [word for stage in ("text", "images", "train") for word in ("--force", stage)]
        done = standin.run("sound.yaml", store, kernels, compiles=False, arguments=forced)
        compiled.append(len(list(kernels.glob("*.cu"))) if done.returncode == 0 else done.stderr[-300:])
    checks.say(
        compiled[1] == 0 and compiled[0] == compiled[2] != 0, "kernels are compiled once", ", ".join(map(str, compiled))
    )
    wrong = results.unequal(standin.folder / "sound-cuda", store)
    checks.say(not wrong, "kernels of the store give the same results", ", ".join(wrong))


def settings(standin, checks):
    """Files that the framework would read have no say, not even those that it could not read."""
    for name in ("burn.toml", "cubecl.toml"):
        (standin.folder / name).write_text("[autodiff]\nlogger = 7\n[streaming]\nmax_streams = false\n")
    done = standin.run("sound.yaml", standin.folder / "settings-cuda", compiles=False)
    for name in ("burn.toml", "cubecl.toml"):
        (standin.folder / name).unlink()
    wrong = results.unequal(standin.folder / "sound-cuda", standin.folder / "settings-cuda")
    found = done.stderr[-300:] if done.returncode else ", ".join(wrong)
    checks.say(done.returncode == 0 and not wrong, "settings of the framework have no say", found)


def search(standin, checks):
    """Searches of heads that were trained on the card find what those of the processor's find."""
    found = [
        results.searched(standin, "training.yaml", standin.folder / f"training-{device}") for device in ("cpu", "cuda")
    ]
    apart = results.furthest(
        [found[0][image] for image in sorted(found[0])], [found[1][image] for image in sorted(found[1])]
    )
    checks.say(apart <= results.TOLERANCES["f32"]["scores"], "search", f"scores of all images differ by {apart:.1e}")


def main():
    program, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    toolkit, reason = prepared(folder)
    if reason:
        print(f"skipped: {reason}")
        return 0
    for made in (
        *folder.glob("*-cpu"),
        *folder.glob("*-cuda"),
        *folder.glob("*-[0-9]*"),
        *folder.glob("kernels-*"),
        folder / "faults",
        folder / "small",
        folder / "kernels",
    ):
        shutil.rmtree(made, ignore_errors=True) if made.is_dir() else made.unlink(missing_ok=True)
    standin, checks = StandIn(program, folder, toolkit), Checks()
    shutil.copytree(ROOT / "pipelines", folder / "pipelines", dirs_exist_ok=True)
    for name in ("families", "training", "batches", "sound"):
        (folder / f"{name}.yaml").write_text(getattr(inputs, name)(folder))
    with ThreadPoolExecutor(N_JOBS) as pool:
        jobs = [pool.submit(emulated, standin, checks, "families")]
        jobs += [pool.submit(emulated, standin, checks, name) for name in ("training", "batches")]
        for arch in (75, 120):
            kernels = folder / f"kernels-{arch}"
            jobs.append(
                pool.submit(
                    compiled, standin, checks, arch, kernels, ("families.yaml", "training.yaml", "batches.yaml", DEMO)
                )
            )
        for job in jobs:
            job.result()
    compiled(standin, checks, 90, standin.kernels, (DEMO,))
    rankings(standin, checks)
    faults(standin, checks)
    several_cards(standin, checks)
    small_card(standin, checks)
    missing_parts(standin, checks)
    memory(standin, checks)
    shared_card(standin, checks)
    stopped(standin, checks)
    training_calls(standin, checks)
    start(standin, checks)
    settings(standin, checks)
    search(standin, checks)
    print(
        f"{checks.n_failed} checks failed" if checks.n_failed else "all checks hold",
        f"after {time.monotonic() - checks.start:.0f} s",
    )
    return 1 if checks.n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
