"""`course bench`: the course's loops beside a textbook loop and a library, in one run.

The `contestants` train one network on one objective, each in a process of its own, so that nothing of one
helps another. Epochs are timed in rounds, one contestant after the other, so that whatever else the machine
does meets all of them; a round trains for two epochs and counts the second, and the figures are medians over
rounds. Judging the model is not timed. What is measured is kept at once in `build/bench/`, and a call after
an interruption measures what is missing.
"""

import importlib.util
import multiprocessing
import os
import platform
import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from course_utils import data, objectives, plotting, settings
from course_utils.plotting import Picture
from courseware import record
from courseware.measuring import contestants
from courseware.measuring.contestants import BATCH, EQUAL, KINDS, RECIPES

EPOCHS = 20
ROUNDS = 5

# -ELBO after EPOCHS at the textbook's settings, nats per test image: means over seeds, see `reproduce`.
REFERENCE = {("VAE", "mnist"): 100.50}


def _limits(kind: str) -> dict[str, float]:
    """Rates of matrix products, in operations per second, and the operations of training on one image."""
    device, cube = settings.device(), (1024, 1024, 1024)
    model = KINDS[kind]().to(device)
    with FlopCounterMode(display=False) as counter:
        objectives.negative_elbo(model, torch.rand(BATCH, 1, 28, 28, device=device)).loss.backward()
    return {
        "float32": contestants.product_rate(device, torch.float32, cube),
        "bfloat16": contestants.product_rate(device, torch.bfloat16, cube),
        "operations_per_image": counter.get_total_flops() / BATCH,
    }


def measure(kind: str, data_name: str, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """All figures for one network, kept in `folder` as they come; what is there already is not repeated."""
    settings.one_of("network", kind, list(KINDS))
    file = folder / f"{kind}-{data_name}.json"
    device, images = settings.device().type, len(data.load(data_name, download=False).train_images)
    here = {"torch": torch.__version__, "machine": machine(), "device": device, "recipe": RECIPES[kind]}
    new = {"images": images, "date": date.today().isoformat(), "rounds": [], "curves": {}}
    figures: dict[str, Any] = new | record.begun(file, here=here)
    names = [name for name in EQUAL if name != "pythae" or importlib.util.find_spec("pythae")]
    if "pythae" not in names:
        say("pythae is not installed: left out (`make bench` installs it).")
    spawn, threads = multiprocessing.get_context("spawn"), (torch.get_num_threads(),)
    with ExitStack() as stack:
        pools = {name: ProcessPoolExecutor(1, spawn, torch.set_num_threads, threads) for name in names}
        for pool in pools.values():
            stack.enter_context(pool)

        def call(name: str, function: Callable, *arguments: Any) -> Any:
            return pools[name].submit(function, *arguments).result()

        while len(figures["rounds"]) < ROUNDS:
            round_ = {"limits": call("fast", _limits, kind)}
            for name in names:
                round_[name] = call(name, contestants.train, name, kind, data_name, 2, False)
                say(f"round {len(figures['rounds']) + 1}, {name}: {_seconds(round_, name):.2f} s per epoch")
            figures["rounds"].append(round_)
            record.keep(file, figures)
        for name in [name for name in names if name not in figures["curves"]]:
            curve = call(name, contestants.train, name, kind, data_name, EPOCHS, True)
            figures["curves"][name] = curve
            say(f"{name}: {curve['negative_elbo'][-1]:.2f} nats after {curve['seconds'][-1]:.0f} s")
            record.keep(file, figures)
    return figures


def machine() -> str:
    """The processor, as the system names it, and how many cores there are."""
    cpuinfo = Path("/proc/cpuinfo")
    named = cpuinfo.is_file() and re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE)
    name = named[1] if named else platform.processor() or platform.machine()
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{name}, {os.cpu_count()} cores{gpu}"


def _seconds(round_: dict[str, Any], name: str) -> float:
    """What a contestant's second epoch took."""
    first, second = round_[name]["seconds"]
    return second - first


def seconds_to(curve: dict[str, Any], target: float) -> float | None:
    """When the curve first comes down to `target` nats, at the end of an epoch; None if never."""
    pairs = zip(curve["seconds"], curve["negative_elbo"], strict=True)
    return next((seconds for seconds, nats in pairs if nats <= target), None)


def target(kind: str, data_name: str, figures: dict[str, Any]) -> float:
    """Where EPOCHS of plain training end: on average over seeds, or else where this run's textbook loop ends.

    Nats per test image. One training ends some 0.3 nats higher or lower than another by its seed alone, which
    on the flat end of the curve is worth many epochs; so a mean over seeds comes first.
    """
    return REFERENCE.get((kind, data_name), figures["curves"]["textbook"]["negative_elbo"][-1])


def chart(kind: str, data_name: str, figures: dict[str, Any]) -> Picture:
    """Time against -ELBO, one curve per contestant, from the end of its first epoch on."""
    curves = {n: (np.array(c["seconds"]), np.array(c["negative_elbo"])) for n, c in figures["curves"].items()}
    return plotting.lines(
        curves,
        f"{kind}: how soon each training comes how far",
        "seconds of training",
        "test -ELBO, nats per image",
        level=("where 20 plain epochs end", target(kind, data_name, figures)),
        log_x=True,
    )


@dataclass(frozen=True)
class Loop:
    """What one contestant comes to: at the plain settings, and from `nats` on in its own training."""

    name: str
    seconds: float  # per epoch
    speed_up: float  # over the textbook loop
    share: float  # of the machine's float32 products
    nats: float  # per test image, at the end
    seconds_to_target: float | None  # None: never
    memory: float  # the most that its process held, GiB

    def cells(self) -> tuple[str, ...]:
        reached = "not reached" if self.seconds_to_target is None else f"{self.seconds_to_target:.0f}"
        figures = f"{self.seconds:.2f}", f"{self.speed_up:.1f}", f"{self.share:.0%}", f"{self.nats:.2f}"
        return self.name, *figures, reached, f"{self.memory:.2f}"


@dataclass(frozen=True)
class Comparison:
    """The loops on one network, as they are printed and quoted."""

    kind: str
    data: str
    machine: str
    device: str
    date: str
    target: float  # nats per test image
    float32: float  # products, in operations per second
    bfloat16: float
    recipe: dict[str, Any]  # the fast path's own
    loops: tuple[Loop, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        figures = ("s per epoch", "times textbook", "share of float32 limit", "test -ELBO")
        return "loop", *figures, f"s to {self.target:.2f} nats", "GiB"

    @property
    def place(self) -> str:
        """Where the documents quote it."""
        return f"bench {self.kind} on {self.device}"

    def loop(self, name: str) -> Loop:
        return next(loop for loop in self.loops if loop.name == name)

    @property
    def sooner(self) -> float | None:
        """How many times sooner than the textbook loop the fast path is there; None if one never is."""
        slow, quick = (self.loop(name).seconds_to_target for name in ("textbook", "fast"))
        return slow / quick if slow and quick else None

    def sentence(self) -> str:
        level, quick = f"{self.target:.2f} nats", self.loop("fast")
        sooner = f"does not reach {level}"
        if self.sooner:
            sooner = f"reaches {level} {self.sooner:.1f} times sooner than the textbook loop"
        elif quick.seconds_to_target:
            sooner = f"reaches {level} after {quick.seconds_to_target:.1f} s, the textbook loop never"
        batches = self.recipe["batch_size"]
        sizes = ", ".join(f"{size} for {n}" for size, n in Counter(batches).items())
        return (
            f"{self.kind} on {self.data}: the fast path {sooner}; it takes {len(batches)} epochs (batches of "
            f"{sizes}; a learning rate that rises to {self.recipe['learning_rate']} and falls again). "
            f"At the machine's full rate ({self.float32 / 1e9:,.0f} GFLOP/s in float32, "
            f"{self.bfloat16 / 1e9:,.0f} in bfloat16) the products alone would take "
            f"{quick.share * quick.seconds:.2f} s per epoch. ({self.machine}, {self.date})"
        )

    def markdown(self) -> str:
        return f"{record.table(self.columns, [loop.cells() for loop in self.loops])}\n\n{self.sentence()}"


def comparison(kind: str, data_name: str, figures: dict[str, Any]) -> Comparison:
    """What the figures of one network come to: medians over rounds, of ratios that are taken within one."""
    level, rounds = target(kind, data_name, figures), figures["rounds"]
    limits = {what: np.array([one["limits"][what] for one in rounds]) for what in rounds[0]["limits"]}
    floor = limits["operations_per_image"] * figures["images"] / limits["float32"]
    textbook = np.array([_seconds(one, "textbook") for one in rounds])
    loops = []
    for name, curve in figures["curves"].items():
        took = np.array([_seconds(one, name) for one in rounds])
        seconds, speed_up, share = (float(np.median(one)) for one in (took, textbook / took, floor / took))
        nats, reached = curve["negative_elbo"][-1], seconds_to(curve, level)
        loops.append(Loop(name, seconds, speed_up, share, nats, reached, curve["memory"]))
    here = {name: figures["here"][name] for name in ("machine", "device", "recipe")}
    here |= {name: float(np.median(limits[name])) for name in ("float32", "bfloat16")}
    return Comparison(kind, data_name, date=figures["date"], target=level, loops=tuple(loops), **here)


def store(root: Path, found: Comparison) -> None:
    """Keep and quote the figures, beside those of other networks and devices."""
    FIGURES.store(root, list({one.place: one for one in [*FIGURES.stored(root), found]}.values()))


def _loaded(kept: Any) -> list[Comparison]:
    return [Comparison(**one | {"loops": tuple(Loop(**loop) for loop in one["loops"])}) for one in kept or []]


FIGURES = record.Measurement("bench", _loaded, lambda found: {one.place: one.markdown() for one in found})
