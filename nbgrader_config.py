"""nbgrader's settings: sources in solutions/, releases in notebooks/, one folder per section."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

from courseware.grading import pages

c = get_config()  # noqa: F821 - nbgrader and Jupyter provide it

c.CourseDirectory.course_id = "vae-course"
c.CourseDirectory.source_directory = "solutions"
c.CourseDirectory.release_directory = "notebooks"
# What the lessons claim lies beside them and is the teacher's affair.
c.CourseDirectory.ignore = [".ipynb_checkpoints", "*.pyc", "__pycache__", "feedback", "*.claims.toml"]

# Several instructors share a folder that is writable to a group and hands it on (mode 2770).
here = Path(__file__).parent
if here.stat().st_mode & 0o2020 == 0o2020 and (here / "solutions").is_dir():
    c.CourseDirectory.groupshared = True
    os.umask(0o007)
    if not (here / "gradebook.db").exists() and os.access(here, os.W_OK):
        (here / "gradebook.db").touch(0o660)  # SQLite would make one that the group only reads

c.ClearSolutions.code_stub = {"python": "# Write your code here.\nraise NotImplementedError()"}
c.ClearSolutions.text_stub = "*Write your answer here.*"

# Where students' notebooks install the course from if it is missing, as on Colab: an address for pip, for a
# public repository "git+https://HOST/OWNER/REPOSITORY". Fill it in and call `course build`; without one
# they only say that the course is missing.
c.Door.address = ""
c.GenerateAssignment.preprocessors.prepend(
    [f"courseware.authoring.release.{one}" for one in ("AddsUp", "Door", "Due")]
)
# nbgrader deletes a release before it fails to make the next one; this sees first that it can be made.
c.GenerateAssignment.exporter_class = "courseware.authoring.release.Rehearsed"

# Until when assignments may be handed in, in UTC or with a zone, as "2030-01-31" or "2030-01-31T18:00+01:00":
# entered into the gradebook, written under notebooks' titles by `course build`, and told by `course check`.
# Others are due when formgrader says.
c.Due.dates = {}  # "02-theory": "2030-01-31"

# Submissions are read as `course grade` reads them: damage is repaired or told, and stops nobody else.
c.Autograde.exporter_class = "courseware.classroom.autograde.Exporter"
c.Autograde.sanitize_preprocessors = []
# nbgrader's 30 s would interrupt a training cell on a slow machine.
c.Execute.timeout = 600

# Graded cells hand over evidence; the verdict is computed here, outside the student's process, with a seed
# drawn for the occasion (courseware/grading/judging.py).
ours = "courseware.grading.preprocessors"
theirs = "nbgrader.preprocessors"
c.Autograde.autograde_preprocessors = [
    f"{ours}.Probe",
    "courseware.grading.judging.Judge",
    f"{theirs}.LimitOutput",
    f"{ours}.SaveGrades",
    f"{theirs}.AssignLatePenalties",
    f"{theirs}.CheckCellMetadata",
]

# Feedback pages and formgrader's show students' text and outputs: made harmless, nothing from the network.
c.HTMLExporter.update(pages.EXPORTER)
pages.escape_names()
# Beside written answers formgrader shows their rubrics (students' edition has no classroom/).
if classroom := find_spec("courseware.classroom"):
    templates = str(Path(classroom.origin).parent / "templates")
    c.HTMLExporter.preprocessors = [*pages.EXPORTER["preprocessors"], "courseware.classroom.reading.Beside"]
    c.HTMLExporter.extra_template_basedirs = [templates, *pages.EXPORTER["extra_template_basedirs"]]
    c.HTMLExporter.extra_template_paths = [str(pages.FORMGRADER / "templates")]  # whose page ours extends
# feedback/ has pages and what releases them; nbgrader copies all that was handed in there.
c.GenerateFeedback.post_convert_hook = "courseware.classroom.feedback.after_nbgrader"
# In this exchange nobody reads or changes what is another's (docs/instructors.md says how to set it up).
exchange = "courseware.exchange"
c.ExchangeFactory.release_assignment = f"{exchange}.ReleaseAssignment"
c.ExchangeFactory.fetch_assignment = f"{exchange}.FetchAssignment"
c.ExchangeFactory.submit = f"{exchange}.Submit"
c.ExchangeFactory.collect = f"{exchange}.Collect"
c.ExchangeFactory.release_feedback = f"{exchange}.ReleaseFeedback"
c.ExchangeFactory.fetch_feedback = f"{exchange}.FetchFeedback"
c.ExchangeFactory.list = f"{exchange}.List"

c.ExportApp.plugin_class = "courseware.classroom.export.Export"

# nbgrader makes a new gradebook by calling `alembic` from the PATH, which an environment that is not
# activated is missing from.
programs = str(Path(sys.executable).parent)
if programs not in os.environ.get("PATH", "").split(os.pathsep):
    os.environ["PATH"] = programs + os.pathsep + os.environ.get("PATH", "")
