"""The table of contents: which notebooks make up the course, in order."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from course_utils.settings import CourseError, one_of, project_folder


@dataclass(frozen=True)
class Section:
    """One section: an nbgrader assignment, its folder NN-name below solutions/ and notebooks/."""

    folder: str
    title: str
    aim: str
    names: tuple[str, ...] = ()  # of its notebooks; without any it is one, called like the folder
    cover: str = ""  # the cell whose figure stands for the section; without one it is the first figure

    @property
    def number(self) -> int:
        return int(self.folder.partition("-")[0])

    @property
    def further(self) -> bool:
        """Whether it goes beyond the core of its number: an assignment that a teacher may leave out."""
        return self.folder.endswith("-further")

    @property
    def notebooks(self) -> tuple[str, ...]:
        return self.names or (self.folder.partition("-")[2].replace("-", "_"),)


class Lesson(NamedTuple):
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


# fmt: off
SECTIONS = (
    Section("01-autoencoder", "Autoencoder", cover="autoencoder-19",
            aim="Compress digits through a bottleneck, and measure why the decoder is no generator."),
    Section("02-theory", "Theory", cover="theory-29",
            aim="From log p(x) to the evidence lower bound, one checked line at a time."),
    Section("02-theory-further", "Theory, further", cover="theory-posteriors",
            aim="Which objective a loss really has, and the bound beside the exact truth."),
    Section("03-vae", "VAE", cover="vae-24",
            aim="Build, train and judge a variational autoencoder in nats per image."),
    Section("03-vae-further", "VAE, further", cover="vae-c6",
            aim="When a collapsed code is a fault, and what else a decoder's numbers may mean."),
    Section("04-exploration", "Exploration", cover="exploration-22",
            aim="Look around in latent space, with pictures and with numbers."),
    Section("04-exploration-further", "Exploration, further", cover="exploration-surgery-curves",
            aim="What the nats of the KL term pay for, and how far that can be measured."),
    Section("05-convolutional-vae", "Convolutional VAE", cover="convolutional-vae-30",
            aim="The same nats from a quarter of the weights, at equal epochs and at equal seconds."),
    Section("06-beta-vae", "Beta-VAE", cover="beta-vae-15",
            aim="Weigh reconstruction against regularisation, and draw the whole trade-off."),
    Section("06-beta-vae-further", "Beta-VAE, further", cover="sprites-world",
            aim="What 'disentangled' claims, measured where the factors are known."),
    Section("07-exercises", "Exercises", cover="conditional-vae-25c",
            names=("conditional_vae", "latent_dimension", "fashion_mnist", "closing"),
            aim="Three projects: digits on request, how many dimensions, clothing. And what comes next."),
    Section("07-exercises-further", "Speedrun, further", cover="speedrun-09", names=("speedrun",),
            aim="A race to a fixed loss: what a change to a training loop buys, and how sure that is."),
)
# fmt: on


def lessons(numbers: tuple[int, ...] = ()) -> list[Lesson]:
    """The notebooks of the sections with these numbers, of all sections if none is named."""
    known = list(dict.fromkeys(str(section.number) for section in SECTIONS))
    for number in numbers:
        one_of("section", str(number), known)
    chosen = [s for s in SECTIONS if not numbers or s.number in numbers]
    return [Lesson(section, name) for section in chosen for name in section.notebooks]


def folder(edition: str) -> Path:
    """`solutions` or `notebooks` of the project around the working folder. Raises CourseError outside."""
    path = project_folder() / edition
    if not path.is_dir():
        raise CourseError(f"There is no {edition}/ here: call this command inside the course's folder.")
    return path
