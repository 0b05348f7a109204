"""Why a submission, or part of it, has fewer points than it asks for: a closed list, one sentence each.

Every submission ends with a score; what went wrong on the way to it is a `Fault`. Points earned elsewhere
in the same submission are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Reason(str, Enum):
    """What went wrong, and what it means."""

    # what was handed in
    MISSING_NOTEBOOK = "a notebook of the assignment was not handed in"
    WRONG_NAME = "a notebook has a name that the assignment does not know"
    NOT_A_NOTEBOOK = "a file is no notebook"
    TOO_LARGE = "a file or the submission is too large"
    LINK = "a file is a link, a device or something else that is no file"
    MISSING_CELLS = "cells of the assignment are missing and were put back"
    DUPLICATED_CELLS = "cells of the assignment occur more than once; one of each was graded"
    CHANGED_CELLS = "cells that are not the student's were changed and were put back"
    # what happened when it ran
    TIMEOUT = "a cell ran longer than it may"
    WAITING = "a cell was stopped that mostly waited; it was tried once more, alone"
    MEMORY = "the code took more memory than it may"
    PROCESSES = "the code started more processes than it may"
    OUTPUT = "the code wrote more output than it may"
    KILLED = "the code ended the process that ran it"
    MESSAGES = "the process that ran the code sent messages that no kernel sends"
    # what the checks handed over
    NO_EVIDENCE = "a check handed over nothing that can be judged"
    FORGED = "what a check handed over is not what checks hand over"
    # the grader's own
    GRADER_FAILED = "the grader itself stumbled over it; a person has to look"
    WORKER_LOST = "the process that graded it ended, several times"

    def __str__(self) -> str:
        return self.name.lower().replace("_", " ")


MACHINE = {Reason.GRADER_FAILED, Reason.WORKER_LOST}  # no faults of the student's: nothing follows from them


@dataclass(frozen=True)
class Fault:
    """One thing that went wrong: where, and one sentence for the person who looks at it."""

    reason: Reason
    notebook: str
    detail: str

    def __str__(self) -> str:
        return f"{self.notebook or 'submission'}: {self.reason} ({self.detail})"
