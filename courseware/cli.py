"""The `course` command, and nothing clever."""

import os
import sys
import time
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from course_utils import settings
from courseware import sections

# Modules that import torch or nbgrader are imported by the commands that need them: `course --help`
# should not take seconds. Students have no other rooms than these two and `grading`.

console = Console()
LISTED = 20  # names at once
_NOT_HERE = "This is the students' edition of the course; that needs the instructor's, with solutions/."
MISSING = {  # what it means that a module cannot be imported
    "fcntl": "A class is graded on Linux: on Windows, in its subsystem for Linux.",
    "resource": "Loops are timed on Linux or macOS: on Windows, in its subsystem for Linux.",
    **dict.fromkeys(("courseware", "bank"), _NOT_HERE),
}


class _Course(click.Group):
    """Commands in which every error that a user can put right ends in one sentence and exit status 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except settings.CourseError as problem:
            why = str(problem)
        except ImportError as problem:
            why = MISSING.get((problem.name or "").partition(".")[0], "")
            if not why:
                raise
        except PermissionError as problem:
            why = f"{problem.filename} is not yours to write: work in a folder of your own or share this one."
        except KeyboardInterrupt:
            why = "Interrupted; what is finished is kept, the same command goes on from there."
        Console(stderr=True).print(Text(_plain(f"course: {why}"), "red"), soft_wrap=True)
        ctx.exit(2)


def _plain(text: str) -> str:
    """Text as a terminal may have it: nothing that moves its cursor or turns the order of letters round."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in text)


def _say(*lines: str, style: str = "") -> None:
    """Print each line as it stands."""
    for line in lines:
        console.print(Text(_plain(line), style), soft_wrap=True)


def _listed(names: Sequence[str]) -> str:
    """`: a, b, c`, or as many of them as one reads."""
    few = ", ".join(names[:LISTED]) + (", ..." if len(names) > LISTED else "")
    return few and f": {few}"


def _show(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> None:
    """Print a table, if there is anything in it."""
    table = Table(*columns, title=Text(_plain(title), "table.title") if title else None)
    for cells in rows:
        table.add_row(*(Text(_plain(cell)) for cell in cells))
    if table.row_count:
        console.print(table)


def _progress(unit: str) -> Progress:
    return Progress(
        "{task.description}", BarColumn(), MofNCompleteColumn(), unit, TimeElapsedColumn(), "left",
        TimeRemainingColumn(), console=console,
    )  # fmt: skip


Names = tuple[str, ...]
_COUNT = click.IntRange(1)
_flag, _several = partial(click.option, is_flag=True), partial(click.option, multiple=True)
_SECTIONS = _several("--section", "numbers", type=int, help="Only this section; repeatable.")
_STUDENTS = _several("--student", "students", metavar="ID", help="Only this one; repeatable.")
_ASSIGNMENT = click.argument("assignment", default="")
_FILE = click.Path(path_type=Path)
_CANVAS = click.option("--canvas", metavar="FILE", type=_FILE, help="What Canvas gave you.")
_MOODLE = click.option("--moodle", metavar="FILE", type=_FILE, help="What Moodle gave you.")
_STORE = _flag("--store", help="Keep the figures in docs/ (for maintainers).")
_UNSAFE = _flag("--unsafe", help="Without a sandbox: students' code runs with YOUR rights.")
_WORKERS = click.option("--workers", type=_COUNT, help="Submissions at a time; as many as there are cores.")


@click.group(cls=_Course, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="vae-course")
def main() -> None:
    """A course on variational autoencoders: run it, release it, measure its graders."""
    root = settings.project_folder()
    if root.stat().st_mode & 0o2020 == 0o2020 and (root / "solutions").is_dir():
        os.umask(0o007)  # as nbgrader_config.py has it, which not every command reads


@main.command()
@_SECTIONS
@click.option("--data", metavar="NAME", help="digits, mnist, garments or fashion-mnist.")
@click.option("--budget", metavar="NAME", help="smoke, laptop (default) or full.")
@_flag("--store", help="Keep the outputs in solutions/ (for maintainers).")
def run(numbers: tuple[int, ...], data: str | None, budget: str | None, store: bool) -> None:
    """Execute the course and write it as web pages to build/site/."""
    from course_utils import data as datasets
    from courseware import record
    from courseware.authoring import claims, runner

    chosen = settings.budget(budget)
    lessons = sections.lessons(numbers)
    source = sections.folder("solutions")
    name = datasets.wanted(data)
    if data:
        datasets.load(name)  # real data that cannot be had is better reported now than in ten minutes

    jobs, threads = runner.plan_jobs(len(lessons))
    environment = {
        "COURSE_BUDGET": chosen.name,
        "COURSE_DATASET": name,
        "COURSE_DATA": str(settings.data_folder()),
        "OMP_NUM_THREADS": str(threads),
        "TQDM_DISABLE": "1",
    }
    root = source.parent
    plan = runner.Run(source, root / "build" / "run" / f"{name}-{chosen.name}", environment, jobs)
    _say(f"Running {len(lessons)} notebooks, {jobs} at a time; data '{name}', {chosen}.")
    started = time.monotonic()
    with _progress("cells") as bars:
        tasks = {lesson: bars.add_task(lesson.title, total=None) for lesson in lessons}
        executed = runner.execute(
            plan, lessons, lambda lesson, done, total: bars.update(tasks[lesson], completed=done, total=total)
        )
    seconds = time.monotonic() - started

    good = [one for one in executed if not one.failure]
    setting = f"{name} at {chosen.name}"
    broken, made = claims.judged(source, {one.lesson: one.claimed for one in good}, setting)
    if store and not broken:
        for one in good:
            runner.store(one, source)
        claims.keep(root, setting, {one.lesson.name: one.claimed for one in good})
        record.quote(root, "results", record.table(runner.COLUMNS, runner.rows(runner.stored(source))))
    index = _write_site(root, good)
    _show(runner.COLUMNS, runner.rows(executed), "Nats per image, lower is better")
    _say(runner.summary(good))
    _say(f"claims: {made - len(broken)} of {made} hold")
    _report(executed, broken, seconds, index)


def _report(executed: list, broken: list[str], seconds: float, index: Path) -> None:
    """The end of a run: graded cells, time, the page to open; CourseError where something went wrong."""
    reports = [row for one in executed for row in one.reports]
    short = [row for row in reports if row["points"] != row["of"]]
    reused = sum(one.reused for one in executed)
    again = f" ({reused} notebooks taken from an earlier run)" if reused else ""
    _say(f"Graded cells with full points: {len(reports) - len(short)} of {len(reports)}.")
    _say(f"Time: {seconds:.0f} s{again}.", f"Open: {index}")
    failed = [f"{one.lesson.path}: {one.failure}" for one in executed if one.failure]
    failed += [f"exercise {row['exercise']}: {row['points']:g} of {row['of']} points" for row in short]
    failed += broken
    if failed:
        raise settings.CourseError("Not everything ran as it should: " + "; ".join(failed) + ".")


@main.command()
@_SECTIONS
@_flag("--store", help="Keep the values of the latest runs in docs/ (for maintainers).")
def claims(numbers: tuple[int, ...], store: bool) -> None:
    """List what the lessons claim: sentence, expression, and its value on each data set."""
    from courseware.authoring import claims, runner

    source = sections.folder("solutions")
    root = source.parent
    if store:
        for setting in claims.SETTINGS.values():
            claims.keep(root, setting, runner.claimed(root / "build" / "run" / setting.replace(" at ", "-")))
    found = [claims.ledger(source, lesson) for lesson in sections.lessons(numbers)]
    _show(claims.COLUMNS, claims.rows(found, claims.kept(root)))
    _say(f"{sum(len(one.claims) for one in found)} claims.")
    unbound = [(one.lesson.name, said) for one in found for said in claims.unbound(source, one)]
    _say(*(f"{name}: no claim for '{said}'" for name, said in unbound), style="yellow")


def _write_site(root: Path, executed: list, released: Path | None = None) -> Path:
    from courseware.authoring.site import pages
    from courseware.measuring import graders, literature

    target = root / "build" / ("site-student" if released else "site")
    measured = graders.FIGURES.stored(root), literature.FIGURES.stored(root)
    return pages.write(executed, target, measured, released)


@main.command()
@_flag("--answers", help="For instructors: with the answers, as `course run` writes it.")
def site(answers: bool) -> None:
    """Write the stored outputs as web pages, without running anything: for students, without answers."""
    from courseware.authoring import runner

    source = sections.folder("solutions")
    released = None if answers else sections.folder("notebooks")
    _say(f"Open: {_write_site(source.parent, runner.stored(source), released)}")


@main.command()
@_flag("--check", help="Change nothing; fail if notebooks/ is not what would be made.")
def build(check: bool) -> None:
    """Make the student notebooks from solutions/ with nbgrader."""
    from courseware.authoring import agreement, release, worked

    root = sections.folder("solutions").parent
    if check:
        release.require_current(root)
        _say("notebooks/ is what nbgrader makes of solutions/.")
    else:
        _say(*release.build(root), style="bold red")
        worked.write(root)
        _say(*agreement.doubts(root / "solutions"), style="bold red")
        _say(f"Student notebooks are in {root / 'notebooks'}.")


@main.command()
def bundle() -> None:
    """Pack what students get, and nothing of yours, into build/vae-course.zip."""
    from courseware.authoring import bundle

    root = sections.folder("solutions").parent
    file = root / "build" / f"{bundle.TOP}.zip"
    count = bundle.write(root, file)
    _say(f"{file}: {count} files, {file.stat().st_size / 2**20:.2f} MiB.")


@main.command()
@_flag("--empty", help="Delete every kept training.")
def cache(empty: bool) -> None:
    """Say how large the cache of trained models is, or empty it."""
    from course_utils.engine import cache as trainings

    if empty:
        _say(f"Deleted: {trainings.empty()} files.")
    _say(f"Kept {trainings.summary()}.")


@main.command()
@click.option("--seeds", type=_COUNT, default=11, help="How many, for each answer of the bank.")
@click.option("--generated", type=click.IntRange(20), help="Check so many generated answers, not the bank.")
@_STORE
def graders(seeds: int, generated: int | None, store: bool) -> None:
    """Measure the checks on the bank of right and wrong answers, or on generated ones."""
    from courseware.measuring import generated as answers
    from courseware.measuring import graders

    figures, work, first = graders.FIGURES, partial(graders.measure, seeds), 0
    if generated:
        first = time.time_ns() // 10**6
        numbers = range(first, first + generated)
        figures, work = graders.GENERATED, partial(graders.tallied, answers.outcome, numbers, 1)
    with _progress("answers") as bars:
        tallies, faults = work(partial(bars.track, description="Checking answers"))
    whole = graders.total(tallies)
    _show((*graders.COLUMNS, "seconds"), (tally.cells() for tally in [*tallies, whole]))
    _say(f"In all, {graders.sentence(tallies)}." + f" The first had number {first}." * bool(generated))
    if store:
        figures.store(settings.project_folder(), tallies)
    _say(*faults)
    if (whole.caught, whole.accepted) != (whole.wrong, whole.right):
        raise settings.CourseError("The checks accept a wrong answer or refuse a right one.")


@main.command()
@_several("--model", "kinds", default=["VAE"], help="VAE or ConvVAE; repeatable.")
@click.option("--seeds", type=_COUNT, default=5, help="Trainings of each loop in its own way.")
@_STORE
def bench(kinds: Names, seeds: int, store: bool) -> None:
    """Time the course's loops beside a textbook loop and a library; write build/bench/."""
    from course_utils import data
    from courseware.measuring import loops

    root, name = settings.project_folder(), data.wanted()
    folder = root / "build" / "bench"
    for kind in kinds:
        figures = loops.measure(kind, name, seeds, folder, _say)
        found = loops.comparison(kind, name, figures)
        _show(found.columns, (loop.cells() for loop in found.loops), f"{kind} on {name}")
        _say(found.sentence())
        if store:
            loops.store(root, found)
        file = root / "docs" / f"bench-{kind}-{found.device}.png" if store else folder / f"{kind}-{name}.png"
        loops.chart(kind, figures).savefig(file, dpi=150)
        _say(f"Chart: {file}")


@main.command()
@click.option("--seeds", type=click.IntRange(2), default=3, help="Trainings of each kind.")
@click.option("--epochs", type=click.IntRange(1, 3280), default=10, help="Of Burda's networks; theirs: 3280.")
@_several("--only", "names", metavar="NAME", help="Only this experiment; repeatable.")
@click.option("--minutes", type=click.FloatRange(0), default=10_000, help="Stop then; say what was not run.")
@_STORE
def reproduce(seeds: int, epochs: int, names: Names, minutes: float, store: bool) -> None:
    """Train published networks on MNIST, print their figures beside ours, and those of reference runs."""
    from course_utils import data as datasets
    from courseware.measuring import literature

    root = settings.project_folder()
    planned = literature.experiments(epochs, names)
    mnist = datasets.load("mnist").to(settings.device())
    file = root / "build" / "reproduce" / "mnist.json"
    found = literature.run(mnist, planned, seeds, file, _say, minutes)
    for title, (columns, *rows) in literature.tables(found).items():
        _show(columns, rows, f"{title}: -ELBO or -log p(x), nats per MNIST test image")
    _say(*literature.notes(found))
    if store:
        literature.store(root, found)


@main.command()
@_flag("--hub", help="In a terminal of a JupyterHub: look at the classroom as well.")
def doctor(hub: bool) -> None:
    """Say whether this machine is ready for the course, and what to do where it is not."""
    from courseware import doctor as diagnosis

    missing = 0
    for one in diagnosis.examine(hub):
        mark = ("ok", "green") if not one.advice else ("no", "red") if one.needed else ("--", "yellow")
        console.print(Text.assemble(mark, _plain(f"  {one.name:9} {one.found}")), soft_wrap=True)
        if one.advice:
            _say(f"    {'':9} {one.advice}")
        missing += bool(one.advice and one.needed)
    if missing:
        raise settings.CourseError(f"{missing} of these the course cannot do without.")
    _say("The course can run here.")


@main.command()
@click.argument("instructors", nargs=-1)
@click.option("--folder", type=_FILE, default="/srv/vae-course", help="For all to read.")
@click.option("--course", type=_FILE, help="Where the account that grades has its clone, if not here.")
@click.option("--memory", metavar="SIZE", default="4G", help="Of one server.")
@click.option("--processors", type=click.FloatRange(0, min_open=True), default=2, help="Of one server.")
@_flag("--write", help="Do what is shown without it.")
@_flag("--undo", help="Remove the files that this command wrote, and no others.")
def hub(
    instructors: Names,
    folder: Path,
    course: Path | None,
    memory: str,
    processors: float,
    write: bool,
    undo: bool,
) -> None:
    """Set the course up on a JupyterHub of this machine; INSTRUCTORS are their names on the hub."""
    from courseware.classroom import hub as classroom

    own, folder = settings.project_folder(), folder.absolute()
    root = course.absolute() if course else own
    if undo:
        gone, stay = classroom.undo(folder)
        _say(*(f"Removed: {path}" for path in gone))
        _say(*(f"Not as this command left it, so it stays: {path}" for path in stay), style="yellow")
        _say("Restart the hub; a line that you have added to its configuration is yours to take out.")
        return
    texts = classroom.plan(own, root, folder, instructors, memory, processors)
    for path, text in texts.items():
        _say(f"{path}:", style="bold")
        _say(text)
    _say(f"Folders: {', '.join(str(folder / name) for name in classroom.FOLDERS)}")
    if write:
        classroom.write(root, folder, texts)
    _say("Written." if write else "Nothing is written yet: add --write.", *classroom.steps(root, folder))


@main.command()
@_ASSIGNMENT
@_WORKERS
@click.option("--scheduler", metavar="ADDRESS", help="Let the workers of this Dask cluster do it.")
@_STUDENTS
@_flag("--whole", help="Run every cell, also those that no graded cell needs.")
@_UNSAFE
def grade(
    assignment: str, workers: int | None, scheduler: str | None, students: Names, whole: bool, unsafe: bool
) -> None:
    """Grade everything handed in (of one assignment, or all) that is not graded yet."""
    started, broken = time.monotonic(), []
    crews = _crew(unsafe, workers, scheduler)
    from courseware.classroom import batch
    from courseware.grading import work

    course, assignments = _handed_in(assignment)
    rules = work.Rules(sandboxed=not unsafe, whole=whole)
    with crews as crew, _progress("submissions") as bars:
        tasks = {one: bars.add_task(one, total=len(students or course.students(one))) for one in assignments}
        for result in batch.grade(course, assignments, rules, crew, students):
            bars.advance(tasks[result.assignment])
            broken += [result] * result.broken
    seconds = time.monotonic() - started
    for one in assignments:
        _report_class(course, one)
    _say(f"Time: {seconds:.0f} s. Go on in formgrader (`jupyter lab`) or with `nbgrader export`.")
    for result in broken:
        _say(f"NOT GRADED: {result.student}, {result.assignment}: {'; '.join(map(str, result.faults))}")
    if broken:
        raise settings.CourseError(
            f"The grader itself failed on {len(broken)} submissions, and nothing was entered for them: see "
            "`course doctor`, then give the same command again."
        )


def _crew(unsafe: bool, workers: int | None, scheduler: str | None = None) -> Any:
    """A context that gives workers. Raises CourseError where a sandbox is wanted, and none can be made."""
    from courseware.classroom import pool
    from courseware.grading.kernel import forked

    # What workers and kernels are forked from starts now, beside what is imported here.
    if not scheduler:
        pool.prepare("courseware.grading.work")
    address = "" if scheduler or unsafe else forked.early()
    from courseware.grading import work
    from courseware.grading.kernel import sandbox

    if unsafe:
        _say("NOT SANDBOXED: students' code runs with your own rights.", style="bold red")
    else:
        sandbox.require()
    if scheduler and pool.unprotected(scheduler):
        risk = f"whoever is on the way to {scheduler} can read and change work and results; take tls://."
        _say(f"NOT PROTECTED: {risk}")
    if scheduler:
        return pool.dask(scheduler)
    return pool.local(workers, ready=int if unsafe else partial(work.ready, address))


def _course() -> Any:
    from courseware.classroom.course import Course

    return Course(settings.project_folder())


def _handed_in(assignment: str) -> tuple[Any, list[str]]:
    """The course, and the assignment named or all for which something is handed in."""
    course = _course()
    every = (section.folder for section in sections.SECTIONS)
    found = [assignment] if assignment else [one for one in every if course.handed_in(one)]
    if not found:
        raise settings.CourseError("Nothing is handed in: submitted/STUDENT/ASSIGNMENT/ is empty.")
    return course, found


def _report_class(course, assignment: str) -> None:
    from courseware.classroom import batch, feedback, gradebook, summary
    from courseware.grading import work

    folder = course.root / "build" / "grading" / assignment
    released = work.digest_of(course.assignment(assignment).released)
    with gradebook.opened(course, [assignment]) as book:
        standing = gradebook.standing(book, assignment)
        stale = feedback.stale(course, book, assignment)
    everybody = course.students(assignment)
    found = summary.of(batch.results(course, assignment), released, standing, everybody, stale)
    summary.write(found, batch.results(course, assignment), assignment, folder)
    lecture = summary.lecture(found, course, assignment, folder)
    _show(summary.COLUMNS, (exercise.cells() for exercise in found.exercises), assignment)
    mistakes = [f"  {count} × {number}: {mistake}" for count, number, mistake in found.mistakes]
    looks = [f"  {student}: {'; '.join(why)}" for student, why in found.for_a_look.items()]
    if mistakes:
        _say("Most frequent mistakes:", *mistakes)
    if looks:
        _say(f"Who needs a human's eye ({len(looks)}), and why:", *looks[:LISTED])
    entered = f"{found.students} submissions of {assignment} are in the gradebook"
    _say(f"{entered}; {found.by_hand} answers are to be graded by hand.")
    _say(*found.warnings(assignment), *course.astray(assignment), style="bold red")
    _say(f"Summary, chart and table per exercise: {folder}")
    _say(f"For the next lecture, what the class learned: {lecture}")


@main.command()
@_ASSIGNMENT
def feedback(assignment: str) -> None:
    """Renew the pages that are not what the gradebook says (of one assignment, or all)."""
    from courseware.classroom import feedback, gradebook

    course, assignments = _handed_in(assignment)
    with course.alone(), gradebook.opened(course, assignments) as book:
        for one in assignments:
            stale = feedback.stale(course, book, one)
            with _progress("students") as bars:
                tracked = bars.track(stale, description=one)
                renewed = [student for student in tracked if feedback.renew(course, book, one, student)]
            of, broken = len(book.assignment_submissions(one)), sorted({*stale} - {*renewed})
            _say(f"{one}: pages of {len(renewed)} of {of} students renewed{_listed(renewed)}.")
            if broken:
                _say(f"Notebooks in autograded/ are damaged; their pages stay as they were{_listed(broken)}.")
            _say(f"To give them to students: `nbgrader release_feedback {one}`.")


@main.command()
@click.argument("assignment")
@_flag("--yes", help="Without asking.")
def rubric(assignment: str, yes: bool) -> None:
    """Bring the rubrics of solutions/ into comments and points of all answers that have their items."""
    from courseware.classroom import gradebook, reading

    course = _course()
    # Nothing is written, and nobody kept waiting, while you think.
    with gradebook.opened(course, [assignment]) as book, book.db.no_autoflush:
        found = reading.renew(course, book, assignment)
    for question, (comments, points) in found.items():
        _say(f"{question}: {comments} comments change, and the points of {points} of these answers.")
    if not found:
        _say(f"{assignment}: all answers have their items as solutions/ say.")
    elif yes or click.confirm("Keep this?"):
        with course.alone(), gradebook.opened(course, [assignment]) as book:
            reading.renew(course, book, assignment)
            gradebook.enter_lateness(course, book, assignment)  # which commits


@main.command("students")
@click.argument("action", type=click.Choice(["import"]))
@click.argument("file", metavar="CSV", type=_FILE)
def students_(action: str, file: Path) -> None:
    """Enter a class list into the gradebook: ids, names, addresses, and the ids of Canvas or Moodle."""
    from courseware.classroom import gradebook, students

    course = _course()
    with course.alone(), gradebook.opened(course, []) as book:
        new, changed = students.enter(book, file)
    _say(f"{len(new)} students are new, {len(changed)} have changed{_listed(changed)}.")


@main.command()
@click.argument("student")
@click.argument("assignment")
@click.argument("date")
def extend(student: str, assignment: str, date: str) -> None:
    """Give one student until DATE: 2030-01-31 (to the end of that day, UTC) or 2030-01-31T18:00+01:00.

    The due date takes it back.
    """
    from courseware.classroom import gradebook, students

    course = _course()
    with course.alone(), gradebook.opened(course, [assignment]) as book:
        more = students.extend(course, book, student, assignment, date)
        until = book.find_submission(assignment, student).duedate
    _say(f"{student} has until {until} UTC for {assignment}, {more} more than the others.")
    _say(f"What lateness costs is entered; where a page says otherwise, `course feedback {assignment}`.")


@main.command()
@_ASSIGNMENT
@_CANVAS
@_MOODLE
def export(assignment: str, canvas: Path | None, moodle: Path | None) -> None:
    """Fill a platform's own table with the gradebook's points, and pack pages for it: build/export/."""
    from courseware.classroom import gradebook, lms

    platform, file = _platform(canvas, moodle)
    if moodle and not assignment:
        raise settings.CourseError("A worksheet of Moodle's is of one assignment: name it as well.")
    course, assignments = _handed_in(assignment)
    with course.alone(), gradebook.opened(course, assignments) as book:
        lms.export(course, book, platform, file, assignments, _say)


@main.command()
@click.argument("assignment")
@_CANVAS
@_MOODLE
@click.option("--worksheet", metavar="CSV", type=_FILE, help="Moodle's: who is who, and when they handed in.")
def collect(assignment: str, canvas: Path | None, moodle: Path | None, worksheet: Path | None) -> None:
    """Put a platform's archive of submissions into submitted/, under the students' ids of the gradebook."""
    from courseware.classroom import archives, gradebook

    platform, file = _platform(canvas, moodle)
    course = _course()
    with course.alone(), gradebook.opened(course, [assignment]) as book:
        archives.collect(course, book, platform, file, assignment, worksheet, _say)


def _platform(canvas: Path | None, moodle: Path | None) -> tuple[str, Path]:
    """The one platform that is named, and its file."""
    given = {name: file for name, file in (("canvas", canvas), ("moodle", moodle)) if file}
    if len(given) != 1:
        raise settings.CourseError("Say whose file it is: --canvas FILE or --moodle FILE.")
    return given.popitem()


@main.command()
@click.argument("notebook", type=_FILE)
def check(notebook: Path) -> None:
    """Grade a notebook of your own as it will be graded when you hand it in."""
    from courseware.grading.kernel import forked

    forked.early()
    from courseware.grading import rehearsal

    _say("Running the notebook; this takes up to a minute ...")
    found = rehearsal.rehearse(notebook)
    rows = []
    for one in found.verdicts:
        # One mistake may fail several claims.
        hints = dict.fromkeys(hint or claim for claim, hint in one.failed.items())
        notes = "\n".join([one.note, *hints] if one.note else hints)
        rows.append((one.exercise, one.answer, f"{one.points:g} of {one.of:g}", notes))
    _show(("exercise", "answer", "points", "what to look at"), rows, notebook.name)
    points, of = sum(one.points for one in found.verdicts), sum(one.of for one in found.verdicts)
    _say(f"Points that programs give: {points:g} of {of:g}.")
    for answer in found.by_hand:
        state = "answered" if answer.answered else "NOT ANSWERED"
        _say(f"Graded by hand: {answer.grade_id}, {answer.points:g} points, {state}.")
    _say(*(f"To put right: {fault.reason.value} ({fault.detail})." for fault in found.faults))
    if found.remark:
        _say(found.remark)
    if found.due:
        _say(f"Due: {found.due}, unless your teacher has given you longer.")
    where = "in a sandbox" if found.sandboxed else "without a sandbox, as in Jupyter"
    _say(f"Your code ran {where}; when it is graded, the checks draw other numbers.")


@main.command()
@click.argument("archive", type=_FILE)
@_flag("--yes", help="Without asking.")
def update(archive: Path, yes: bool) -> None:
    """Bring a newer edition of the course into your folder; what you have written stays."""
    from courseware import updating

    root = settings.project_folder()
    found = updating.changes(root, archive)
    texts = [change for change in found if change.name.startswith("notebooks/")]
    for change in texts:
        both = f", {change.conflicts} cells that you both changed: the teacher's stand below yours"
        _say(f"{change.name}: changed by your teacher{both if change.conflicts else ''}.")
    _say(f"{len(texts)} notebooks and {len(found) - len(texts)} other files change.")
    if found and (yes or click.confirm("Bring them in?")):
        _say(f"Done. What was there before is kept in {updating.apply(root, found, root / 'build')}.")


@main.command()
def progress() -> None:
    """Say which exercises you have solved, and write it with worked solutions to build/progress.html."""
    from course_utils import files
    from course_utils.checks.judges import standing

    page, shown = standing.file().with_suffix(".html"), standing.Progress()
    found = [row for row in standing.rows() if row.tries]
    cells = [(row.number, row.answer, f"{row.points:g} of {row.of:g}", str(row.tries)) for row in found]
    _show(("exercise", "answer", "points", "tries"), cells)
    _say(str(shown))
    files.write(page, standing.document())
    _say(f"Open: {page}")


@main.command()
@_ASSIGNMENT
@_flag("--verify", help="Store nothing; say whether the stored results come out again.")
@_flag("--yes", help="Keep what comes out without asking.")
@_STUDENTS
@_WORKERS
@_UNSAFE
def regrade(
    assignment: str, verify: bool, yes: bool, students: Names, workers: int | None, unsafe: bool
) -> None:
    """Grade again what is graded: anew, or with --verify to see that the same comes out.

    What changes is shown, and you are asked, before anything is kept; without a terminal, students that are
    named are graded anew without asking.
    """
    if not (verify or students or assignment):
        raise settings.CourseError("Say what to grade anew (an assignment, --student ID), or add --verify.")
    asks = not yes and sys.stdin.isatty()
    if not (verify or yes or asks or students):
        raise settings.CourseError("There is no terminal here to ask you at: add --yes, or --verify.")
    crews = _crew(unsafe, workers)
    from courseware.grading import work

    course, assignments = _handed_in(assignment)
    handed_in = {one: course.students(one) for one in assignments}
    asked = {one: [who for who in names if who in (students or names)] for one, names in handed_in.items()}
    chosen = {one: names for one, names in asked.items() if names}
    if not chosen:
        raise settings.CourseError(f"Nothing is handed in by {', '.join(students)}.")
    with crews as crew:
        if verify:
            _verify(course, chosen, crew, unsafe)
            return
        for one, who in chosen.items():
            _regrade(course, one, work.Rules(sandboxed=not unsafe), crew, who, asks)


def _regrade(course, assignment: str, rules, crew, students: list[str], asks: bool) -> None:
    from courseware.classroom import audit

    found: list[audit.Verification] = []

    def approve() -> None:
        bars.stop()
        found.sort(key=lambda one: one.student)
        rows = [(one.student, *score) for one in found for score in one.scores]
        _show(("student", "what", "then", "now"), rows, f"{assignment}: points that change")
        others = [one for one in found if one.differences and not one.scores]
        for one in others:
            _say(f"{one.student}: {'; '.join(one.differences)}")
        _say(f"{assignment}: points of {len({row[0] for row in rows})} of {len(found)} students change.")
        if asks and (rows or others) and not click.confirm("Keep this?"):
            raise settings.CourseError("Nothing of this was kept.")

    with _progress("submissions") as bars:
        graded = audit.regrade(course, assignment, rules, crew, students, approve)
        found.extend(bars.track(graded, len(students), description=assignment))
    _report_class(course, assignment)
    _say("Points that you have given by hand stay; formgrader marks them to be looked at again.")


def _verify(course, chosen: dict[str, list[str]], crew, unsafe: bool) -> None:
    from courseware.classroom import audit

    differing = of = 0
    for assignment, students in chosen.items():
        for found in audit.verify(course, assignment, crew, students, unsafe):
            of += 1
            differing += bool(found.differences)
            why = "; ".join([*found.differences, *(f"note: {note}" for note in found.notes)])
            _say(f"{assignment}, {found.student}: {found.said}{f' ({why})' if why else ''}")
    if differing:
        raise settings.CourseError(f"{differing} of {of} stored results did not come out again.")


@main.command()
@_ASSIGNMENT
def remarks(assignment: str) -> None:
    """List what grading noticed about submissions and students' own work (all assignments, or one)."""
    from courseware.grading.submission import own_work

    kept = own_work.kept(settings.project_folder() / "autograded", assignment)
    found = [", ".join(map(str, one)) for one in kept]
    _say(*found, f"{len(found)} remarks. A remark is a reason to look, no proof.")


@main.command()
def quiz() -> None:
    """Write a test of twelve questions before the course, and one after it, as pages to build/quiz/."""
    from courseware.classroom import gain

    _say(*(f"Open: {page}" for page in gain.write(settings.project_folder() / "build" / "quiz")))


@main.command()
@_ASSIGNMENT
@_flag("--measure", help="Try it on the bank's answers and on copies of these.")
@_STORE
def likeness(assignment: str, measure: bool, store: bool) -> None:
    """Show whose code is alike beyond what an exercise makes inevitable (of one assignment, or all).

    Pairs stand side by side on a page, for you to judge. No score depends on it.
    """
    if measure or store:
        from courseware.measuring import likeness as measuring

        with _progress("lessons") as bars:
            figures = measuring.measure(partial(bars.track, description="Comparing answers"))
        _show(measuring.COLUMNS, figures.rows())
        _say(f"On the second half, {figures.sentence()}.")
        if store:
            measuring.FIGURES.store(settings.project_folder(), figures)
        return
    from courseware.classroom import likeness

    course, assignments = _handed_in(assignment)
    for one in assignments:
        found = likeness.of(course, one)
        _show(likeness.COLUMNS, (exercise.cells() for exercise in found.exercises), one)
        page = likeness.write(found, one, course.root / "build" / "grading" / one)
        _say(f"{len(found.pairs)} pairs of {found.students} students are alike: a reason to look, no proof.")
        _say(f"Open: {page}")


if __name__ == "__main__":
    main()
