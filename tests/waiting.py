"""How long a reader waits at `laptop`: every core lesson alone on this machine, cell by cell, on all cores.

    python tests/waiting.py --store

The lessons run on the embedded digits in the order of the course, each in a fresh kernel. What one has
trained and kept, the next loads, as at a student's. Since seconds are a machine's, a pass of the textbook
loop over MNIST is timed too, before and after (the VAE, batches of 128; `course bench` compares others).
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

LONG = 5  # seconds: a cell that takes more makes somebody wait


@dataclass(frozen=True)
class Waiting:
    """Seconds of each cell that runs code, in its order, by lesson."""

    cells: dict[str, list[float]]
    textbook: float  # seconds that a pass of that loop took
    machine: str
    date: str

    def markdown(self) -> str:
        """What the document says."""
        long = {lesson: [one for one in cells if one > LONG] for lesson, cells in self.cells.items()}
        rows = [
            (lesson, f"{sum(cells):.0f}", ", ".join(f"{one:.0f}" for one in sorted(long[lesson])[::-1]))
            for lesson, cells in self.cells.items()
        ]
        columns = "lesson", "s, all cells", f"s of each cell of more than {LONG} s"
        longest = max(max(cells) for cells in self.cells.values())
        passes = f"{longest / self.textbook:.1f} passes of the textbook loop over MNIST"
        return (
            f"{record.table(columns, rows)}\n\nThe slowest cell of all takes as long as {passes}: "
            f"{longest:.0f} s, and {self.textbook:.1f} s for one of these ({self.machine}, {self.date})."
        )


def measure() -> Waiting:
    """Run the lessons, and the textbook loop before and after."""
    passes = [textbook()]
    cells = {}
    with tempfile.TemporaryDirectory() as kept:
        for lesson in sections.lessons():
            if not lesson.section.further:
                cells[lesson.title] = taken = seconds(lesson, kept)
                print(f"{lesson.title}: {sum(taken):.0f} s, slowest cell {max(taken):.0f} s", flush=True)
    passes.append(textbook())
    return Waiting(cells, round(statistics.mean(passes), 1), loops.machine(), date.today().isoformat())


def textbook() -> float:
    """Seconds of the second pass: the first has more to do."""
    first, second = contestants.train("textbook", "VAE", "mnist", 2, contestants.How(), judge=False)[
        "seconds"
    ]
    return second - first


def seconds(lesson: Lesson, kept: str) -> list[float]:
    """What each cell with code took, to a tenth; trainings come from `kept` and go there."""
    notebook = notebooks.read(ROOT / "solutions" / lesson.path)
    environment = {"COURSE_BUDGET": "laptop", "COURSE_DATASET": "digits", "COURSE_BUILD": kept}
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
