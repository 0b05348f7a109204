"""A large class graded as it will be: memory, cost and scores, measured, kept and quoted by the documents.

    python tests/scale.py --submissions 1000 --store

Submissions are made of the bank's right and wrong answers to one assignment; one in five is damaged, each
in another way. They are graded by two workers while the coordinator's memory is watched; a sample is then
graded once more in one process with every cell run, and no score may differ.
"""

import argparse
import contextlib
import json
import random
import shutil
import statistics
import tempfile
import time
from collections import Counter
from datetime import date
from pathlib import Path

import attacks
import damages
import nbformat
import psutil
from damages import HandIn
from programs import ROOT

from bank import RIGHT, WRONG, Answer
from courseware import record
from courseware.classroom import batch, pool
from courseware.grading import work
from courseware.grading.kernel import sandbox
from courseware.grading.submission import collect
from courseware.measuring import loops

ASSIGNMENT = "02-theory"
WORKERS, SAMPLE, DAMAGED_ONE_IN = 2, 100, 5
SAMPLED_EACH = 25  # submissions from one look at the workers' memory to the next
PLANNED = 10_000
SECONDS = {"cell_seconds": 20, "notebook_seconds": 120}  # enough for answers that end at all


# --- submissions ------------------------------------------------------------------------------------------


def answered(released: nbformat.NotebookNode, rng: random.Random) -> nbformat.NotebookNode:
    """The released notebook with an answer of the bank in every cell that has some there."""
    nb = nbformat.from_dict(released)
    for above, below in zip(nb.cells, nb.cells[1:], strict=False):
        found = [answer for answer in RIGHT + WRONG if f'check("{answer.exercise}"' in below.source]
        if found and "nbgrader" in below.metadata:
            right = [answer for answer in found if not answer.hint]
            chosen: Answer = rng.choice(right if rng.random() < 0.6 else found)
            above.source = chosen.code
    return nb


DAMAGES: dict[str, HandIn] = damages.DAMAGES | {
    "too large": damages.handed_in_as("*.ipynb", lambda nb: b" " * (collect.LARGEST + 1)),
    "an endless loop": damages.answered("while True:\n    pass"),
    "memory without end": damages.answered("x = []\nwhile True:\n    x.append(bytearray(2**28))"),
    "threads without end": damages.answered(attacks.TAKING["thread bomb"].code),
    "output without end": damages.answered("while True:\n    print('x' * 1000)"),
    "the kernel's end": damages.answered("import os\nos._exit(1)"),
    "no evidence": damages.answered("import course_utils.checks.probes as p\np.observe = lambda *a: 1000"),
    "forged evidence": damages.answered(f"{attacks.FORGE}publish(lambda seed: '3.0')"),
}


def hand_in(root: Path, number: int, rng: random.Random, ways: list[HandIn], one_in: int) -> None:
    """One submission; one in so many is damaged, in turn in each of these ways."""
    source = root / "notebooks" / ASSIGNMENT
    folder = root / "submitted" / f"student-{number:05}" / ASSIGNMENT
    folder.mkdir(parents=True)
    for file in sorted(source.glob("*.ipynb")):
        nb = answered(nbformat.read(file, as_version=4), rng)
        turn, rest = divmod(number, one_in)
        damage = damages.changed(lambda nb: None) if rest or not ways else ways[turn % len(ways)]
        damage(nb, folder / file.name)


def make_course(root: Path, submissions: int, ways: list[HandIn], one_in: int) -> batch.Course:
    shutil.copy(ROOT / "nbgrader_config.py", root)
    for edition in ("solutions", "notebooks"):
        shutil.copytree(ROOT / edition / ASSIGNMENT, root / edition / ASSIGNMENT)
    rng = random.Random(0)
    for number in range(submissions):
        hand_in(root, number, rng, ways, one_in)
    return batch.Course(root)


# --- measurement ------------------------------------------------------------------------------------------


def measure(
    submissions: int,
    ways: list[HandIn],
    compared: int = SAMPLE,
    damaged_one_in: int = DAMAGED_ONE_IN,
) -> dict:
    """Grade a class of so many, a sample of it once more, and say what was found."""
    with tempfile.TemporaryDirectory(prefix="course-scale-") as folder:
        course = make_course(Path(folder), submissions, ways, damaged_one_in)
        rules = work.Rules(sandboxed=not sandbox.missing(), **SECONDS)
        own, memory, ends, workers = psutil.Process(), [], [], []
        started, used = time.monotonic(), sum(own.cpu_times()[:2])
        with pool.local(WORKERS, ready=work.ready) as crew:
            for _ in batch.grade(course, [ASSIGNMENT], rules, crew):
                ends.append(time.monotonic() - started)
                memory.append(own.memory_info().rss / 2**20)
                if len(ends) % SAMPLED_EACH == 1:
                    workers.append(_memory_below(own) / WORKERS)
                done = f"{len(ends)} of {submissions}"
                print(f"\r{done}, {ends[-1]:.0f} s, {memory[-1]:.0f} MiB", end="", flush=True)
        used = sum(own.cpu_times()[:2]) - used
        print()
        results = {result.student: result for result in batch.results(course, ASSIGNMENT)}
        reasons = Counter(fault.reason.name for result in results.values() for fault in result.faults)
        written = sum(
            path.stat().st_size
            for kind in ("autograded", "feedback", "gradebook.db")
            for path in [course.root / kind, *(course.root / kind).rglob("*")]
            if path.is_file()
        )
        sample = random.Random(0).sample(sorted(results), min(compared, submissions))
        differing = differences(course, results, sample)

    few = max(1, min(100, submissions // 4))
    tenth = max(0, submissions // 10 - 1)
    return {
        "date": date.today().isoformat(),
        "machine": loops.machine(),
        "workers": WORKERS,
        "assignment": ASSIGNMENT,
        "submissions": submissions,
        "machine_faults": submissions - len(results),
        "damaged_one_in": damaged_one_in,
        "sandboxed": rules.sandboxed,
        "seconds": round(ends[-1]),
        "seconds_each": round(ends[-1] / submissions, 2),
        "seconds_each_first": round(ends[few - 1] / few, 2),
        "seconds_each_last": round((ends[-1] - ends[-few - 1]) / few, 2) if submissions > few else None,
        "coordinator_seconds_each": round(used / submissions, 3),
        "MiB_at_a_tenth": round(memory[tenth]),
        "MiB_at_the_end": round(memory[-1]),
        "MiB_of_a_worker": round(max(workers)),
        "kB_each": round(written / submissions / 1000),
        "mean_points": round(statistics.mean(result.points for result in results.values()), 2),
        "compared": len(sample),
        "differing": differing,
        "zeros_untold": sum(
            not (one.points or one.faults)
            for student, one in results.items()
            if int(student.partition("-")[2]) % damaged_one_in == 0
        ),
        "reasons": dict(sorted(reasons.items())),
    }


def _memory_below(process: psutil.Process) -> float:
    """MiB of all processes below it; what several share counts once."""
    found = 0
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has ended meanwhile
            found += child.memory_full_info().pss
    return found / 2**20


def sentences(found: dict) -> str:
    """What the documents say: what was measured, and what follows for the largest of classes."""
    workers, own = found["workers"], found["coordinator_seconds_each"]
    each, first, last = (
        workers * found[f"seconds_each{which}"] for which in ("", "_first", "_last")
    )  # of a worker
    measured = (
        f"{found['submissions']:,} submissions of {found['assignment']}, made of the bank's right and wrong "
        f"answers, one in {found['damaged_one_in']} damaged in {len(DAMAGES)} ways (of "
        f"those, {found['zeros_untold']} have no points and no fault that a person sees; of all, "
        f"{found['machine_faults']} met a fault of the machine's and are left to the next batch), took "
        f"{workers} workers {found['seconds'] / 60:.0f} minutes: {each:.1f} worker-seconds each, "
        f"{first:.1f} over the first hundred with the start of the workers, {last:.1f} over the last. The "
        f"coordinator took {own * 1000:.0f} ms of processor time for each, and had "
        f"{found['MiB_at_a_tenth']} MiB at a tenth of them, {found['MiB_at_the_end']} MiB at the end. Of "
        f"{found['compared']} graded once more, one at a time in one process with every cell run, "
        f"{found['differing']} have another score ({found['machine']}, {found['date']})."
    )
    follows = (
        f"So {PLANNED:,} such submissions are {PLANNED * each / 3600:.1f} worker-hours, "
        f"{PLANNED * found['kB_each'] / 1e6:.1f} GB of notebooks, pages and gradebook, and "
        f"{PLANNED * own / 60:.0f} minutes of the coordinator, which can keep {each / own:.0f} workers busy. "
        "More workers than a machine has cores want `--scheduler`:"
    )
    rows = [
        (f"{many}", f"{PLANNED * each / many / 3600:.1f}", f"{many * found['MiB_of_a_worker'] / 1024:.0f}")
        for many in (2, 8, 32, 64)
    ]
    return (
        f"{measured}\n\n{follows}\n\n{record.table(('workers, a core each', 'hours', 'GiB of memory'), rows)}"
    )


FIGURES = record.Measurement[dict](
    "grading", lambda kept: kept or {}, lambda found: {"grading scale": sentences(found)}
)


def differences(course: batch.Course, results: dict, sample: list[str]) -> int:
    """How many of these score otherwise when graded one at a time, in one process, with every cell run."""
    assignment = course.assignment(ASSIGNMENT)
    rules = work.Rules(sandboxed=not sandbox.missing(), whole=True, **SECONDS)
    differing = 0
    with pool.local(1, ready=work.ready) as crew:
        jobs = (assignment.job(student, rules) for student in sample)
        for done, (job, again) in enumerate(pool.outcomes(work.grade, jobs, crew), 1):
            print(f"\r{done} of {len(sample)} once more", end="", flush=True)
            student = job.submission.student
            before = {name: one.scores for name, one in results[student].notebooks.items()}
            after = {name: one.scores for name, one in again.notebooks.items()} if again else None
            if before != after:
                differing += 1
                print(f"\n{student}: {before} and {after}")
    print()
    return differing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--submissions", type=int, default=1000)
    parser.add_argument("--compared", type=int, default=SAMPLE, help="How many are graded once more.")
    parser.add_argument("--store", action="store_true", help="Keep the figures in docs/.")
    wanted = parser.parse_args()
    found = measure(wanted.submissions, [*DAMAGES.values()], wanted.compared)
    print(json.dumps(found, indent=1), sentences(found), sep="\n\n")
    if wanted.store:
        FIGURES.store(ROOT, found)


if __name__ == "__main__":
    main()
