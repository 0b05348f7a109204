"""The table of contents: which notebooks make up the course, in order."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from course_utils import settings
from course_utils.settings import CourseError


@dataclass(frozen=True)
class Section:
    """One section: an nbgrader assignment, its folder below solutions/ and notebooks/.

    `cover` is the cell whose figure stands for the section; without one it is the first figure.
    """

    number: int
    folder: str
    title: str
    aim: str
    notebooks: tuple[str, ...]
    cover: str = ""


@dataclass(frozen=True)
class Lesson:
    """One notebook of a section."""

    section: Section
    name: str

    @property
    def path(self) -> Path:
        """Relative to solutions/ or notebooks/."""
        return Path(self.section.folder) / f"{self.name}.ipynb"

    @property
    def title(self) -> str:
        if len(self.section.notebooks) == 1:
            return f"{self.section.number}. {self.section.title}"
        words = self.name.replace("_", " ").capitalize().replace("vae", "VAE").replace("mnist", "MNIST")
        return f"{self.section.number}. {words}"


SECTIONS = (
    Section(
        1,
        "01-autoencoder",
        "Autoencoder",
        "Compress digits through a bottleneck, and measure why the decoder is no generator.",
        ("autoencoder",),
        "autoencoder-19",
    ),
    Section(
        2,
        "02-theory",
        "Theory",
        "From log p(x) to the evidence lower bound, one checked line at a time.",
        ("theory",),
        "theory-posteriors",
    ),
    Section(
        3,
        "03-vae",
        "VAE",
        "Build, train and judge a variational autoencoder in nats per image.",
        ("vae",),
        "vae-24",
    ),
    Section(
        4,
        "04-exploration",
        "Exploration",
        "Look around in latent space, with pictures and with numbers.",
        ("exploration",),
        "exploration-22",
    ),
    Section(
        5,
        "05-convolutional-vae",
        "Convolutional VAE",
        "The same nats from a quarter of the weights, at equal epochs and at equal seconds.",
        ("convolutional_vae",),
        "convolutional-vae-30",
    ),
    Section(
        6,
        "06-beta-vae",
        "Beta-VAE",
        "Weigh reconstruction against regularisation, and draw the whole trade-off.",
        ("beta_vae",),
        "sprites-world",
    ),
    Section(
        7,
        "07-exercises",
        "Exercises",
        "Three projects: digits on request, how many latent dimensions, clothing. And what comes next.",
        ("conditional_vae", "latent_dimension", "fashion_mnist", "closing"),
        "conditional-vae-25c",
    ),
)


def lessons(numbers: tuple[int, ...] = ()) -> list[Lesson]:
    """The notebooks of the sections with these numbers, of all sections if none is named.

    Raises CourseError for a number that no section has.
    """
    known = [section.number for section in SECTIONS]
    for number in numbers:
        settings.one_of("section", str(number), [str(n) for n in known])
    chosen = [s for s in SECTIONS if not numbers or s.number in numbers]
    return [Lesson(section, name) for section in chosen for name in section.notebooks]


def folder(edition: str) -> Path:
    """`solutions` or `notebooks` of the project that the working folder lies in.

    Raises CourseError outside a project.
    """
    path = settings.project_folder() / edition
    if not path.is_dir():
        raise CourseError(f"There is no {edition}/ here: call this command inside the course's folder.")
    return path
