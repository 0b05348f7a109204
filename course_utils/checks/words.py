"""What both halves say, and those who grade: limits of a call, their sentences, text made fit to be shown.

Nothing here needs PyTorch, which most commands of an instructor's can do without.
"""

CALL_SECONDS = 10.0  # of a processor: a right answer takes milliseconds
PATIENCE = 3  # times as many seconds may pass while the machine does something else, or the answer sleeps
SENTENCE = 400  # characters of an error message that are worth keeping

NOT_YET = "This part is still to be written: it raises NotImplementedError."
OWN = "This calls `course_utils.{}`, the course's own solution, which earns nothing: write one of yours."
# How the sentence ends of a call that was stopped.
ENDLESS = "is there far too much work, or a loop that never ends?"
WAITING = "in which it mostly waited: does it sleep?"


def printable(text: str, most: int) -> str:
    """One line of at most `most` characters, none of which files, terminals or spreadsheets stumble over."""
    line = " ".join(text[: 4 * most].split())[:most]
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in line)
