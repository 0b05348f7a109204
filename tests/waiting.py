"""How long a reader waits at `laptop`: every core lesson alone on this machine, cell by cell, on all cores.

    python tests/waiting.py --store

The lessons run in the order of the course, each in a fresh kernel. What one has trained and kept, the next
loads, as at a student's. Since seconds are a machine's, a pass of the textbook loop over MNIST is timed too,
before and after (the VAE, batches of 128; `course bench` compares other loops with it).
"""

import argparse
import asyncio
import os
import statistics
import tempfile
from dataclasses import dataclass
from datetime import date, datetime

import joblib
from nbclient import NotebookClient
from programs import ROOT

from course_utils import data
from courseware import notebooks, record, sections
from courseware.measuring import contestants, loops
from courseware.sections import Lesson

DATASETS = ("digits", "mnist")
LONG = 5  # seconds: a cell that takes more makes somebody wait


@dataclass(frozen=True)
class Waiting:
    """Seconds of each cell that runs code, in its order: by data set, then by lesson."""

    cells: dict[str, dict[str, list[float]]]
    textbook: float  # seconds that a pass of that loop took
    machine: str
    date: str

    def markdown(self) -> str:
        """What the document says."""
        rows = [
            (
                name,
                lesson,
                f"{sum(cells):.0f}",
                f"{len([one for one in cells if one > LONG])} of {len(cells)}",
                f"{max(cells):.0f}",
            )
            for name, lessons in self.cells.items()
            for lesson, cells in lessons.items()
        ]
        columns = "data", "lesson", "s, all cells", f"cells of more than {LONG} s", "s, the slowest"
        longest = max(max(cells) for lessons in self.cells.values() for cells in lessons.values())
        passes = f"{longest / self.textbook:.1f} passes of the textbook loop"
        return (
            f"{record.table(columns, rows)}\n\n"
            f"The slowest cell of all takes {longest:.0f} s, as long as {passes}, which takes "
            f"{self.textbook:.1f} s for one ({self.machine}, {self.date})."
        )


def measure() -> Waiting:
    """Run the lessons on each data set, and the textbook loop before and after."""
    passes = [textbook()]
    cells: dict[str, dict[str, list[float]]] = {}
    for name in DATASETS:
        with tempfile.TemporaryDirectory() as kept:
            for lesson in sections.lessons():
                if not lesson.section.further:
                    cells.setdefault(name, {})[lesson.title] = taken = seconds(lesson, name, kept)
                    print(
                        f"{name}, {lesson.title}: {sum(taken):.0f} s, slowest cell {max(taken):.0f} s",
                        flush=True,
                    )
    passes.append(textbook())
    return Waiting(cells, round(statistics.mean(passes), 1), loops.machine(), date.today().isoformat())


def textbook() -> float:
    """Seconds of the second pass: the first has more to do."""
    first, second = contestants.train("textbook", "VAE", "mnist", 2, contestants.How(), judge=False)[
        "seconds"
    ]
    return second - first


def seconds(lesson: Lesson, data_name: str, kept: str) -> list[float]:
    """What each cell with code took, to a tenth; trainings come from `kept` and go there."""
    notebook = notebooks.read(ROOT / "solutions" / lesson.path)
    environment = {"COURSE_BUDGET": "laptop", "COURSE_DATASET": data_name, "COURSE_BUILD": kept}
    environment |= {"OMP_NUM_THREADS": str(joblib.cpu_count()), "TQDM_DISABLE": "1"}
    where = {"metadata": {"path": str((ROOT / "solutions" / lesson.path).parent)}}
    client = NotebookClient(notebook, timeout=3600, resources=where)
    asyncio.run(client.async_execute(env=os.environ | environment))
    timed = [cell.metadata.execution for cell in notebook.cells if "execution" in cell.metadata]
    ends = ("iopub.execute_input", "shell.execute_reply")
    moments = [[datetime.fromisoformat(one[end].replace("Z", "+00:00")) for end in ends] for one in timed]
    return [round((after - before).total_seconds(), 1) for before, after in moments]


FIGURES = record.Measurement[Waiting | None](
    "waiting",
    lambda kept: Waiting(**kept) if kept else None,
    lambda found: {"waiting": found.markdown()} if found else {},
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--store", action="store_true", help="Keep the figures in docs/.")
    wanted = parser.parse_args()
    data.load("mnist", download=False)  # better told now than in ten minutes
    found = measure()
    print(found.markdown())
    if wanted.store:
        FIGURES.store(ROOT, found)


if __name__ == "__main__":
    main()
