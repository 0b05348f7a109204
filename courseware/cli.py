"""The `course` command, and nothing clever.

Every error that a user can put right ends in one sentence and exit status 2.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from course_utils import settings

# Modules that import torch or nbgrader are imported by the commands that need them: `course --help`
# should not take seconds.

console = Console()


@contextmanager
def _one_sentence() -> Iterator[None]:
    """Turn errors that the user can put right into one sentence on stderr."""
    try:
        yield
    except settings.CourseError as problem:
        raise _Stop(str(problem)) from None
    except ImportError as problem:
        if problem.name == "fcntl":
            raise _Stop("A class is graded on Linux: on Windows, in its subsystem for Linux.") from None
        if (problem.name or "").partition(".")[0] not in ("courseware", "bank"):
            raise
        raise _Stop(
            "This is the students' edition of the course; that needs the instructor's, with solutions/."
        ) from None
    except PermissionError as problem:
        raise _Stop(f"{problem.filename} is not yours to write: work in a folder of your own.") from None
    except KeyboardInterrupt:
        raise _Stop("Interrupted; what is finished is kept, the same command goes on from there.") from None


class _Stop(click.ClickException):
    exit_code = 2

    def show(self, file: object = None) -> None:
        Console(stderr=True, soft_wrap=True).print(f"course: {self.message}", style="red", highlight=False)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vae-course")
def main() -> None:
    """A course on variational autoencoders: run it, release it, measure its graders."""


@main.command()
@click.option(
    "--section", "numbers", type=int, multiple=True, metavar="N", help="Only this section; repeatable."
)
@click.option("--data", metavar="NAME", help="digits, mnist, garments or fashion-mnist.")
@click.option("--budget", metavar="NAME", help="smoke, laptop (default) or full.")
@click.option("--fresh", is_flag=True, help="Run finished notebooks again; trainings are kept: see `cache`.")
@click.option("--store", is_flag=True, help="Keep the outputs in solutions/ (for maintainers).")
def run(numbers: tuple[int, ...], data: str | None, budget: str | None, fresh: bool, store: bool) -> None:
    """Execute the course and write it as web pages to build/site/."""
    with _one_sentence():
        _run(numbers, data, budget, fresh, store)


def _run(numbers: tuple[int, ...], data: str | None, budget: str | None, fresh: bool, store: bool) -> None:
    from course_utils import data as datasets
    from courseware import record, sections
    from courseware.authoring import runner
    from courseware.authoring.site import pages as site
    from courseware.measuring import graders
    from courseware.measuring import literature as figures

    chosen = settings.budget(budget)
    lessons = sections.lessons(numbers)
    source = sections.folder("solutions")
    name = datasets.wanted(data)
    if data:
        datasets.load(name)  # real data that cannot be had is better reported now than in ten minutes

    build = source.parent / "build"
    jobs, threads = runner.plan_jobs(len(lessons))
    environment = {
        "COURSE_BUDGET": chosen.name,
        "COURSE_DATASET": name,
        "COURSE_DATA": str(settings.data_folder()),
        "OMP_NUM_THREADS": str(threads),
        "TQDM_DISABLE": "1",
    }
    plan = runner.Run(source, build / "run" / f"{name}-{chosen.name}", environment, jobs)
    if fresh:
        plan.forget(lessons)

    console.print(f"Running {len(lessons)} notebooks, {jobs} at a time; data '{name}', {chosen}.")
    started = time.monotonic()
    with _progress("cells") as bars:
        tasks = {lesson: bars.add_task(lesson.title, total=None) for lesson in lessons}
        executed = runner.execute(
            plan, lessons, lambda lesson, done, total: bars.update(tasks[lesson], completed=done, total=total)
        )
    seconds = time.monotonic() - started

    good = [one for one in executed if not one.failure]
    if store:
        for one in good:
            runner.store(one, source)
        record.quote(source.parent, "results", runner.markdown(runner.stored(source)))
    summary = runner.summary(good)
    root = source.parent
    index = site.write(good, build / "site", summary, graders.stored(root), figures.stored(root))
    (build / "results.json").write_text(
        json.dumps({one.lesson.name: one.results for one in good}, indent=1), encoding="utf-8"
    )
    _report(executed, summary, seconds, index)


def _progress(unit: str) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
    )


def _report(executed: list, summary: str, seconds: float, index: Path) -> None:
    """The end of a run: data, test ELBO of each model, graded cells, the page to open."""
    table = Table("section", "model", "data", "test -ELBO", title="Nats per image, lower is better")
    for one in executed:
        for row in one.results:
            value = f"{row['negative_elbo']:.2f} ± {row['standard_error']:.2f}"
            table.add_row(one.lesson.title, row["model"], row["data"], value)
    if table.row_count:
        console.print(table)
    console.print(summary, highlight=False)

    reports = [row for one in executed for row in one.reports]
    passing = sum(row["points"] == row["of"] for row in reports)
    console.print(f"Graded cells with full points: {passing} of {len(reports)}.")
    reused = sum(one.reused for one in executed)
    again = f" ({reused} notebooks taken from an earlier run; --fresh runs them again)" if reused else ""
    console.print(f"Time: {seconds:.0f} s{again}.")
    console.print(f"Open: {index}", soft_wrap=True, highlight=False)

    failed = [f"{one.lesson.path}: {one.failure}" for one in executed if one.failure]
    failed += [
        f"exercise {r['exercise']}: {r['points']:g} of {r['of']} points"
        for r in reports
        if r["points"] != r["of"]
    ]
    if failed:
        raise settings.CourseError("Not everything ran as it should: " + "; ".join(failed) + ".")


@main.command()
@click.option(
    "--edition",
    type=click.Choice(["student", "instructor"]),
    default="student",
    show_default=True,
    help="Who it is for: instructors' pages have the answers, folded away.",
)
def site(edition: str) -> None:
    """Write the stored outputs as web pages, without running anything.

    Unless told otherwise it makes what can be shown to a class: the pages hold no answers. The instructors'
    edition is also what `course run` writes, from its own outputs.
    """
    with _one_sentence():
        from courseware import sections
        from courseware.authoring import runner
        from courseware.authoring.site import pages
        from courseware.measuring import graders
        from courseware.measuring import literature as figures

        source = sections.folder("solutions")
        root = source.parent
        executed = runner.stored(source)
        students = edition == "student"
        index = pages.write(
            executed,
            root / "build" / ("site-student" if students else "site"),
            runner.summary(executed),
            graders.stored(root),
            figures.stored(root),
            released=sections.folder("notebooks") if students else None,
        )
        console.print(f"Open: {index}", soft_wrap=True, highlight=False)


@main.command()
@click.option("--check", is_flag=True, help="Change nothing; fail if notebooks/ is not what would be made.")
def build(check: bool) -> None:
    """Make the student notebooks from solutions/ with nbgrader."""
    with _one_sentence():
        from courseware import sections
        from courseware.authoring import release

        root = sections.folder("solutions").parent
        if not check:
            release.build(root)
            console.print(f"Student notebooks are in {root / 'notebooks'}.", soft_wrap=True, highlight=False)
            return
        differing = release.drift(root)
        if differing:
            raise settings.CourseError(
                f"notebooks/ is not what solutions/ gives: {', '.join(differing)}; run `course build`."
            )
        console.print("notebooks/ is what nbgrader makes of solutions/.")


@main.command()
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="build/vae-course.zip")
def bundle(output: Path | None) -> None:
    """Pack what students get: notebooks, the package and a README, without anything of yours."""
    with _one_sentence():
        from courseware import sections
        from courseware.authoring import bundle

        root = sections.folder("solutions").parent
        file = output or root / "build" / f"{bundle.TOP}.zip"
        count = bundle.write(root, file)
        size = file.stat().st_size / 2**20
        console.print(f"{file}: {count} files, {size:.2f} MiB.", soft_wrap=True, highlight=False)


@main.command()
@click.option("--empty", is_flag=True, help="Delete every kept training.")
def cache(empty: bool) -> None:
    """Say how large the cache of trained models is, or empty it."""
    with _one_sentence():
        from course_utils.engine import cache as trainings

        if empty:
            console.print(f"Deleted: {trainings.empty()} files.")
        console.print(f"Kept {trainings.summary()}.", soft_wrap=True, highlight=False)


def _say(line: str) -> None:
    console.print(line, highlight=False, markup=False)


def _show(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> None:
    table = Table(*columns, title=title)
    for cells in rows:
        table.add_row(*cells)
    console.print(table)


_STORE = click.option("--store", is_flag=True, help="Keep the figures in docs/ (for maintainers).")


@main.command()
@click.option("--seeds", type=click.IntRange(1), default=20, show_default=True, help="How many seeds.")
@_STORE
def graders(seeds: int, store: bool) -> None:
    """Measure the checks on the bank of right and wrong answers."""
    with _one_sentence():
        from courseware.measuring import graders

        with _progress("answers") as bars:
            task = bars.add_task("Checking the bank", total=None)
            tallies, faults = graders.measure(
                seeds, lambda done, of: bars.update(task, completed=done, total=of)
            )
        whole = graders.total(tallies)
        _show(
            ("exercise", "answer", "wrong caught", "right accepted", "mistakes named", "seconds"),
            (tally.cells() for tally in [*tallies, whole]),
        )
        _say(f"In all, {graders.sentence(tallies)}.")
        if store:
            graders.FIGURES.store(settings.project_folder(), tallies)
        for fault in faults:
            _say(fault)
        if (whole.caught, whole.accepted) != (whole.wrong, whole.right):
            raise settings.CourseError("The checks accept a wrong answer or refuse a right one.")


@main.command()
@click.option(
    "--model", "kinds", multiple=True, default=["VAE"], metavar="NAME", help="VAE or ConvVAE; repeatable."
)
@click.option("--data", metavar="NAME", help="mnist where it is on disk, otherwise digits.")
@click.option("--grading", is_flag=True, help="Instead, time grading beside plain `nbgrader autograde`.")
@_STORE
def bench(kinds: tuple[str, ...], data: str | None, grading: bool, store: bool) -> None:
    """Time the course's loops beside a textbook loop and a library; write build/bench/."""
    with _one_sentence():
        root = settings.project_folder()
        if grading:
            _bench_grading(root, store)
        else:
            _bench_loops(root, kinds, data, store)


def _bench_loops(root: Path, kinds: tuple[str, ...], data: str | None, store: bool) -> None:
    from course_utils import data as datasets
    from courseware.measuring import loops

    name = datasets.wanted(data)
    folder = root / "build" / "bench"
    found = []
    for kind in kinds:
        figures = loops.measure(kind, name, folder, _say)
        one = loops.comparison(kind, name, figures)
        found.append(one)
        _show(one.columns, (loop.cells() for loop in one.loops), f"{kind} on {name}")
        _say(one.sentence())
        (folder / f"{kind}-{name}.md").write_text(one.markdown() + "\n", encoding="utf-8")
        chart = loops.chart(kind, name, figures)
        chart.savefig(folder / f"{kind}-{name}.png", dpi=150)
        if store:
            chart.savefig(root / "docs" / f"bench-{kind}-{one.device}.png", dpi=150)
    if store:
        loops.store(root, found)
    console.print(f"Tables and charts: {folder}", soft_wrap=True, highlight=False)


def _bench_grading(root: Path, store: bool) -> None:
    from courseware.grading.kernel import sandbox
    from courseware.measuring import speed

    sandbox.require()
    found = speed.measure(root, _say)
    _say(found.sentence())
    if store:
        speed.FIGURES.store(root, found)


@main.command()
@click.option("--seeds", type=click.IntRange(2), default=3, show_default=True, help="Trainings of each kind.")
@click.option(
    "--epochs",
    type=click.IntRange(1, 3280),
    default=10,
    show_default=True,
    help="Of Burda's networks; 3,280 is their own schedule, for a GPU.",
)
@click.option("--only", "names", multiple=True, metavar="NAME", help="Only this experiment; repeatable.")
@_STORE
def reproduce(seeds: int, epochs: int, names: tuple[str, ...], store: bool) -> None:
    """Train published networks on MNIST and print their figures beside ours."""
    with _one_sentence():
        from course_utils import data as datasets
        from courseware.measuring import literature

        root = settings.project_folder()
        planned = literature.experiments(epochs, names)
        mnist = datasets.load("mnist").to(settings.device())
        found = literature.run(mnist, planned, seeds, root / "build" / "reproduce" / "mnist.json", _say)
        rows = (one.cells() for one in found)
        _show(literature.COLUMNS, rows, "-ELBO or -log p(x), nats per MNIST test image")
        for note in literature.notes(found):
            _say(note)
        if store:
            literature.store(root, found)


@main.command()
def doctor() -> None:
    """Say whether this machine is ready for the course, and what to do where it is not."""
    with _one_sentence():
        from courseware import doctor as diagnosis

        missing = 0
        for one in diagnosis.examine():
            mark = "[green]ok[/]" if not one.advice else "[red]no[/]" if one.needed else "[yellow]--[/]"
            console.print(f"{mark}  {one.name:9} {escape(one.found)}", highlight=False, soft_wrap=True)
            if one.advice:
                console.print(f"    {'':9} {escape(one.advice)}", highlight=False, soft_wrap=True)
            missing += bool(one.advice and one.needed)
        if missing:
            raise settings.CourseError(f"{missing} of these the course cannot do without.")
        console.print("The course can run here.")


@main.command()
@click.argument("assignment", default="")
@click.option("--workers", type=click.IntRange(1), help="Submissions at a time; as many as there are cores.")
@click.option("--scheduler", metavar="ADDRESS", help="Let the workers of this Dask cluster do it.")
@click.option("--student", "students", multiple=True, metavar="ID", help="Only this one; repeatable.")
@click.option("--whole", is_flag=True, help="Run every cell, also those that no graded cell needs.")
@click.option("--unsafe", is_flag=True, help="Without a sandbox: students' code runs with YOUR rights.")
def grade(
    assignment: str,
    workers: int | None,
    scheduler: str | None,
    students: tuple[str, ...],
    whole: bool,
    unsafe: bool,
) -> None:
    """Grade everything handed in (of one assignment, or all) that is not graded yet."""
    with _one_sentence():
        import joblib

        from courseware.classroom import batch, pool
        from courseware.grading import work

        _sandbox_or(unsafe)
        course = batch.Course(settings.project_folder())
        rules = work.Rules(sandboxed=not unsafe, whole=whole)
        assignments = _handed_in(course, assignment)
        with pool.dask(scheduler) if scheduler else pool.local(workers or joblib.cpu_count()) as crew:
            _grade(course, assignments, rules, crew, list(students))


def _sandbox_or(unsafe: bool) -> None:
    """Raise CourseError where no sandbox can be made, unless nobody wants one."""
    from courseware.grading.kernel import sandbox

    if unsafe:
        console.print("NOT SANDBOXED: students' code runs with your own rights.", style="bold red")
    else:
        sandbox.require()


def _handed_in(course, assignment: str) -> list[str]:
    """The assignment named, or all for which something is handed in; CourseError where nothing is."""
    from courseware import sections

    every = [section.folder for section in sections.SECTIONS]
    found = [assignment] if assignment else [one for one in every if course.has(one)]
    if not found:
        raise settings.CourseError("Nothing is handed in: submitted/STUDENT/ASSIGNMENT/ is empty.")
    return found


def _grade(course, assignments: list[str], rules, crew, students: list[str], anew: bool = False) -> None:
    from courseware.classroom import batch

    started = time.monotonic()
    with _progress("submissions") as bars:
        tasks = {
            assignment: bars.add_task(assignment, total=len(students or course.students(assignment)))
            for assignment in assignments
        }
        for step in batch.grade(course, assignments, rules, crew, students, anew=anew):
            bars.update(tasks[step.result.assignment], completed=step.done)
    seconds = time.monotonic() - started
    for assignment in assignments:
        _report_class(course, assignment)
    console.print(f"Time: {seconds:.0f} s. Go on in formgrader (`jupyter lab`) or with `nbgrader export`.")


def _report_class(course, assignment: str) -> None:
    from courseware.classroom import batch, summary
    from courseware.grading import work

    folder = course.root / "build" / "grading" / assignment
    released = work.digest_of(course.assignment(assignment).released)
    found = summary.of(batch.results(course, assignment), released)
    summary.write(found, batch.results(course, assignment), assignment, folder)
    table = Table("exercise", "answer", "mean", "of", "all points", "some", "none", title=assignment)
    for row in found.exercises:
        mean = sum(row.points) / len(row.points)
        table.add_row(
            row.number, row.answer, f"{mean:.2f}", f"{row.of:g}", *(f"{x:.0%}" for x in row.shares())
        )
    console.print(table)
    if found.mistakes:
        console.print("Most frequent mistakes:")
        for count, number, mistake in found.mistakes:
            console.print(f"  {count} × {number}: {mistake}", highlight=False, markup=False)
    if found.for_a_look:
        console.print(f"Who needs a human's eye ({len(found.for_a_look)}), and why:")
        for student, why in list(found.for_a_look.items())[:20]:
            console.print(f"  {student}: {'; '.join(why)}", highlight=False, markup=False)
    console.print(
        f"{found.students} submissions of {assignment} are in the gradebook; {found.by_hand} answers are "
        "to be graded by hand.",
        highlight=False,
    )
    for warning in found.warnings(assignment):
        console.print(warning, style="bold red", highlight=False)
    console.print(f"Summary, chart and table per exercise: {folder}", soft_wrap=True, highlight=False)


@main.command()
@click.argument("notebook", type=click.Path(path_type=Path))
def check(notebook: Path) -> None:
    """Grade a notebook of your own as it will be graded when you hand it in."""
    with _one_sentence():
        from courseware.grading import rehearsal

        console.print("Running the notebook; this takes up to a minute ...")
        found = rehearsal.rehearse(notebook)
        table = Table("exercise", "answer", "points", "what to look at", title=notebook.name)
        for one in found.verdicts:
            # One mistake may fail several claims.
            hints = dict.fromkeys(hint or claim for claim, hint in one.failed.items())
            table.add_row(
                one.exercise,
                one.answer,
                f"{one.points:g} of {one.of:g}",
                Text("\n".join([*([one.note] if one.note else []), *hints])),
            )
        if table.row_count:
            console.print(table)
        console.print(f"Points that programs give: {found.points:g} of {found.of:g}.", highlight=False)
        for answer in found.by_hand:
            state = "answered" if answer.answered else "NOT ANSWERED"
            console.print(
                f"Graded by hand: {answer.grade_id}, {answer.points:g} points, {state}.", highlight=False
            )
        for fault in found.faults:
            console.print(
                f"To put right: {fault.reason.value} ({fault.detail}).", highlight=False, markup=False
            )
        if found.remark:
            console.print(found.remark, soft_wrap=True, highlight=False, markup=False)
        where = "in a sandbox" if found.sandboxed else "without a sandbox, as in Jupyter"
        console.print(
            f"Your code ran {where}; when it is graded, the checks draw other numbers.", soft_wrap=True
        )


@main.command()
@click.argument("assignment", default="")
@click.option("--verify", is_flag=True, help="Store nothing; say whether the stored results come out again.")
@click.option("--student", "students", multiple=True, metavar="ID", help="Only this one; repeatable.")
@click.option("--workers", type=click.IntRange(1), help="Submissions at a time; as many as there are cores.")
@click.option("--unsafe", is_flag=True, help="Without a sandbox: students' code runs with YOUR rights.")
def regrade(
    assignment: str, verify: bool, students: tuple[str, ...], workers: int | None, unsafe: bool
) -> None:
    """Grade again what is graded: anew, or with --verify to see that the same comes out."""
    with _one_sentence():
        import joblib

        from courseware.classroom import batch, pool
        from courseware.grading import work

        if not (verify or students):
            raise settings.CourseError("Say whom to grade anew (--student ID), or add --verify.")
        _sandbox_or(unsafe)
        course = batch.Course(settings.project_folder())
        chosen = {
            one: [who for who in course.students(one) if not students or who in students]
            for one in _handed_in(course, assignment)
        }
        if not any(chosen.values()):
            raise settings.CourseError(f"Nothing is handed in by {', '.join(students)}.")
        chosen = {one: who for one, who in chosen.items() if who}
        with pool.local(workers or joblib.cpu_count()) as crew:
            if verify:
                _verify(course, chosen, crew, unsafe)
                return
            for one, who in chosen.items():
                _grade(course, [one], work.Rules(sandboxed=not unsafe), crew, who, anew=True)
        console.print("Scores that you have given by hand stay; Formgrader marks them to be looked at again.")


def _verify(course, chosen: dict[str, list[str]], crew, unsafe: bool) -> None:
    from courseware.classroom import audit

    differing = of = 0
    for assignment, students in chosen.items():
        for found in audit.verify(course, assignment, crew, students, unsafe):
            of += 1
            differing += bool(found.differences)
            why = "; ".join([*found.differences, *(f"note: {note}" for note in found.notes)])
            line = f"{assignment}, {found.student}: {found.said}{f' ({why})' if why else ''}"
            console.print(line, soft_wrap=True, highlight=False, markup=False)
    if differing:
        raise settings.CourseError(f"{differing} of {of} stored results did not come out again.")


@main.command()
@click.argument("assignment", default="")
def remarks(assignment: str) -> None:
    """List what `nbgrader autograde` noticed about students' own work (all assignments, or one)."""
    with _one_sentence():
        from courseware.grading.submission import own_work

        found = own_work.kept(settings.project_folder() / "autograded", assignment)
        for student, notebook, remark in found:
            console.print(f"{student}, {notebook}, {remark}", soft_wrap=True, highlight=False, markup=False)
        console.print(f"{len(found)} remarks. A remark is a reason to look, no proof.", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
