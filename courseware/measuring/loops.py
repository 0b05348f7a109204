"""`course bench`: the course's loops beside a textbook loop and a library, in one run.

The `contestants` train one network on one objective, each in a process of its own, so that nothing of one
helps another, and in turns, so that whatever else the machine does meets all of them. Of the two epochs of a
round the second counts; then each trains in its own way, with several seeds (docs/measurements.md): the fast
path alone, against the clock; the others side by side, for only their nats are taken from there: how long an
epoch takes the rounds have said. What is measured is kept at once in `build/bench/`: a call after an
interruption measures what is missing.
"""

import importlib.util
import math
import multiprocessing
import os
import platform
import re
import statistics
from collections import Counter
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
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
from courseware.measuring import contestants, literature
from courseware.measuring.contestants import BATCH, EQUAL, KINDS, LACKING, RATES, RECIPES, How

Figures = dict[str, Any]  # what is measured of one network
EPOCHS = 20
ROUNDS = 5
MORE = 2  # times as many seeds for the fast path, of which every one should get there
PARTS = 3  # seeds for what each part of a recipe buys
TUNED = ", tuned"  # how the names of those end
BY_RECIPE = "fast"  # whose own epochs are no longer those of the rounds


def _limits(kind: str) -> dict[str, float]:
    """Rates of matrix products, in operations per second, and the operations of training on one image."""
    device, cube = settings.device(), (1024, 1024, 1024)
    model = KINDS[kind]().to(device)
    with FlopCounterMode(display=False) as counter:
        objectives.negative_elbo(model, torch.rand(BATCH, 1, 28, 28, device=device)).loss.backward()
    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    rates = {name: contestants.product_rate(device, kind, cube) for name, kind in kinds.items()}
    return rates | {"operations_per_image": counter.get_total_flops() / BATCH}


def measure(kind: str, data_name: str, seeds: int, folder: Path, say: record.Say) -> Figures:
    """All figures for one network, kept in `folder` as they come; what is there already is not repeated."""
    settings.one_of("network", kind, list(KINDS))
    file = folder / f"{kind}-{data_name}.json"
    here: Any = {"torch": torch.__version__, "machine": machine(), "device": settings.device().type}
    here |= {"recipe": RECIPES[kind], "epochs": EPOCHS}
    images = len(data.load(data_name, download=False).train_images)
    new = {"images": images, "date": date.today().isoformat(), "rounds": []}
    new |= {"rates": {}, "parts": {}, "curves": {}}
    figures: Figures = new | record.begun(file, here=here)
    names = [name for name in EQUAL if not name.startswith("pythae") or importlib.util.find_spec("pythae")]
    if "pythae" not in names:
        say("pythae is not installed: left out (`make bench` installs it).")
    with ExitStack() as stack:

        def started(workers: int, threads: int) -> ProcessPoolExecutor:
            spawn = multiprocessing.get_context("spawn")
            made = ProcessPoolExecutor(workers, spawn, torch.set_num_threads, (threads,))
            stack.callback(made.shutdown, cancel_futures=True)
            return made

        def train(pool: Executor, name: str, how: How, epochs: int = EPOCHS, **judged: bool) -> Future:
            return pool.submit(contestants.train, name, kind, data_name, epochs, how, **judged)

        pools = {name: started(1, torch.get_num_threads()) for name in names}
        while len(figures["rounds"]) < ROUNDS:
            round_ = {"limits": pools["fast"].submit(_limits, kind).result()}
            for name in names:
                round_[name] = train(pools[name], name, _how(name), 2, judge=False).result()
                say(f"round {len(figures['rounds']) + 1}, {name}: {_seconds(round_, name):.2f} s per epoch")
            figures["rounds"].append(round_)
            record.keep(file, figures)
        for rate in [rate for rate in RATES if str(rate) not in figures["rates"]]:
            curve = train(pools["plain"], "plain", How(rate=rate), EPOCHS // 2, choosing=True).result()
            nats = figures["rates"][str(rate)] = curve["negative_elbo"][-1]
            say(f"rate {rate}: {nats:.2f} nats on validation images")
            record.keep(file, figures)
        chosen = literature.best(figures["rates"])
        missing = [
            (name, seed)
            for seed in range(seeds * MORE)
            for name in names
            if _trained_as(name, chosen) == name
            and (seed < seeds or name == BY_RECIPE)
            and str(seed) not in figures["curves"].get(name, {})
        ]
        side_by_side = started(min(4, os.cpu_count() or 1), threads=1)
        for part in [part for part in _parts(kind) if part not in figures["parts"]]:
            hows = [How(seed, lacking=part) for seed in range(PARTS)]
            ends = [train(side_by_side, BY_RECIPE, how, choosing=True) for how in hows]
            figures["parts"][part] = [end.result()["negative_elbo"][-1] for end in ends]
            say(f"recipe {part}: {statistics.mean(figures['parts'][part]):.2f} nats on validation images")
            record.keep(file, figures)
        for timed in (True, False):  # first, one after the other, those whose own seconds count
            running = {
                train(pools[name] if timed else side_by_side, name, _how(name, seed, chosen)): (name, seed)
                for name, seed in missing
                if (name == BY_RECIPE) == timed
            }
            for future in as_completed(running):
                (name, seed), curve = running[future], future.result()
                figures["curves"].setdefault(name, {})[str(seed)] = curve
                nats, seconds = curve["negative_elbo"][-1], curve["seconds"][-1]
                say(f"seed {seed}, {name}: {nats:.2f} nats after {seconds:.0f} s")
                record.keep(file, figures)
    return figures


def _parts(kind: str) -> list[str]:
    """The whole recipe, and what it may lack of its parts."""
    return ["", *(part for part in LACKING if RECIPES[kind].get("muon") or part != "without Muon")]


def _how(name: str, seed: int = 0, rate: float | None = None) -> How:
    """The tuned ones alone have the rate, and workers."""
    return How(seed, rate or How().rate, min(4, os.cpu_count() or 1)) if name.endswith(TUNED) else How(seed)


def _trained_as(name: str, rate: float | None) -> str:
    """Whose trainings show how far it gets: where the rate chosen is the usual one, a tuned loop only loads
    its images another way, and a seed is of no more use to it than to the loop that it was."""
    return name.removesuffix(TUNED) if rate == How().rate else name


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


def clocked(figures: Figures) -> dict[str, list[dict[str, Any]]]:
    """The trainings by contestant, in the table's order, with the seconds to the end of each epoch."""
    found, rate = {}, literature.best(figures["rates"])
    for name in (name for name in EQUAL if name in figures["rounds"][0]):
        epoch = float(np.median([_seconds(one, name) for one in figures["rounds"]]))
        found[name] = list(figures["curves"][_trained_as(name, rate)].values())
        if name != BY_RECIPE:
            ends = [epoch * (i + 1) for i in range(len(found[name][0]["negative_elbo"]))]
            found[name] = [curve | {"seconds": ends} for curve in found[name]]
    return found


def seconds_to(curve: dict[str, Any], target: float) -> float:
    """When the curve first comes down to `target` nats, at the end of an epoch; infinite if never."""
    pairs = zip(curve["seconds"], curve["negative_elbo"], strict=True)
    return next((seconds for seconds, nats in pairs if nats <= target), math.inf)


def target(figures: Figures) -> float:
    """Where EPOCHS of the textbook loop end, nats per test image: the mean over its seeds."""
    # By its seed alone one ends some 0.3 nats higher or lower, worth many epochs at the end of the curve.
    return statistics.mean(curve["negative_elbo"][-1] for curve in figures["curves"]["textbook"].values())


def chart(kind: str, figures: Figures) -> Picture:
    """Time against -ELBO from the end of the first epoch on: thin for each seed, thick for their medians."""
    each = {
        name: np.array([(curve["seconds"], curve["negative_elbo"]) for curve in curves])
        for name, curves in clocked(figures).items()  # (seeds, 2, epochs)
    }
    picture = plotting.lines(
        {name: tuple(np.median(curves, axis=0)) for name, curves in each.items()},
        f"{kind}: how soon each training comes how far (thick: medians over seeds)",
        "seconds of training",
        "test -ELBO, nats per image",
        level=("where 20 textbook epochs end", target(figures)),
        log_x=True,
    )
    for colour, curves in zip(plotting.COLOURS, each.values(), strict=False):
        picture.axes[0].plot(*curves.transpose(1, 2, 0), color=colour, linewidth=0.6, alpha=0.5, zorder=1)
    return picture


@dataclass(frozen=True)
class Loop:
    """What one contestant comes to: at the plain settings, and from `nats` on in its own trainings."""

    name: str
    seconds: float  # per epoch
    speed_up: float  # over the textbook loop
    share: float  # of the machine's float32 products
    nats: list[float]  # per test image, at the end, for each seed
    reached: list[float]  # seconds to the target, for each seed; infinite: never
    memory: float  # the most that its process held, GiB

    @property
    def median(self) -> float:
        """Seconds to the target, of all trainings."""
        return statistics.median(self.reached)

    def cells(self) -> tuple[str, ...]:
        nats, when = f"{statistics.mean(self.nats):.2f}", _shown(self.median)
        if len(self.nats) > 1:
            nats += f" ± {statistics.stdev(self.nats):.2f}"
            when += f" ({_shown(min(self.reached))} to {_shown(max(self.reached))})"
        there = f"{len(self.reached) - self.reached.count(math.inf)} of {len(self.reached)}"
        figures = f"{self.seconds:.2f}", f"{self.speed_up:.1f}", f"{self.share:.0%}", nats, there, when
        return self.name, *figures, f"{self.memory:.2f}"


def _shown(seconds: float) -> str:
    return "never" if seconds == math.inf else f"{seconds:.{int(seconds < 10)}f}"


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
    rate: float | None  # of the tuned ones; None where there are none
    images: int  # in an epoch
    parts: dict[str, list[float]]  # nats per validation image by the recipe, and by it without a part
    loops: list[Loop]

    @property
    def columns(self) -> tuple[str, ...]:
        figures = ("s per epoch", "times textbook", "share of float32 limit", "test -ELBO")
        return "loop", *figures, f"reach {self.target:.2f} nats", "s to it, median (range)", "GiB"

    @property
    def place(self) -> str:
        """Where the documents quote it."""
        return f"bench {self.kind} on {self.device}"

    def loop(self, name: str) -> Loop:
        return next(loop for loop in self.loops if loop.name == name)

    def short(self) -> str:
        """How much sooner."""
        level, quick = f"{self.target:.2f} nats", self.loop("fast")
        gain = self.loop("textbook").median / quick.median
        if quick.median == math.inf:
            there = f"does not reach {level}"
        elif gain == math.inf:
            there = f"reaches {level} after {_shown(quick.median)} s, the textbook loop never"
        else:
            split = f"{quick.speed_up:.1f} times by its code and {gain / quick.speed_up:.1f} by its recipe"
            there = f"reaches {level} {gain:.1f} times sooner than the textbook loop, {split}"
        several, more = len(self.loop("textbook").nats), len(quick.nats)
        seeds = f", medians over {several} seeds" if several > 1 else ", one seed"
        seeds += f", over {more} of the fast path" if more > several else ""
        return f"{self.kind} on {self.data}{seeds}: the fast path {there}."

    def sentence(self) -> str:
        tuned = f" The tuned ones have a rate of {self.rate:g}." if self.rate else ""
        if self.rate == How().rate:
            tuned = f" The usual rate, {self.rate:g}, was the best of four: tuned loops only load otherwise."
        floor = self.loop("fast").share * self.loop("fast").seconds
        return (
            f"{self.short()} It takes {self._recipe()}{tuned} At "
            f"the machine's full rate ({self.float32 / 1e9:,.0f} GFLOP/s in float32, "
            f"{self.bfloat16 / 1e9:,.0f} in bfloat16) the products alone would take "
            f"{floor:.2f} s per epoch. ({self.machine}, {self.date})"
        )

    def _recipe(self) -> str:
        """Of how many steps, and what each part of it buys."""
        batches = self.recipe["batch_size"]
        sizes = ", ".join(f"{size} for {n}" for size, n in Counter(batches).items())
        steps = sum(math.ceil(self.images / size) for size in batches)
        muon = "; Muon for hidden matrices" if self.recipe.get("muon") else ""
        ends = {part: f"{statistics.mean(nats):.2f}" for part, nats in self.parts.items()}
        lacking = ", ".join(f"{nats} {part}" for part, nats in ends.items() if part)
        bought = (
            f" Where images are held out to choose by, it ends at {ends['']} nats on them; {lacking}."
            if ends
            else ""
        )
        rate, usual = self.recipe["learning_rate"], math.ceil(self.images / BATCH)
        return (
            f"{len(batches)} epochs, {steps:,} steps where the others take {usual} an epoch (batches of "
            f"{sizes}; a learning rate that rises to {rate} and falls again{muon}).{bought}"
        )

    def markdown(self) -> str:
        return f"{record.table(self.columns, [loop.cells() for loop in self.loops])}\n\n{self.sentence()}"


def comparison(kind: str, data_name: str, figures: Figures) -> Comparison:
    """What the figures of one network come to: medians over rounds, of ratios that are taken within one."""
    level, rounds = target(figures), figures["rounds"]
    limits = {what: np.array([one["limits"][what] for one in rounds]) for what in rounds[0]["limits"]}
    floor = limits["operations_per_image"] * figures["images"] / limits["float32"]
    textbook = np.array([_seconds(one, "textbook") for one in rounds])
    loops = []
    for name, curves in clocked(figures).items():
        took = np.array([_seconds(one, name) for one in rounds])
        seconds, speed_up, share = (float(np.median(one)) for one in (took, textbook / took, floor / took))
        nats = [one["negative_elbo"][-1] for one in curves]
        reached = [seconds_to(one, level) for one in curves]
        memory = max(one[name]["memory"] for one in rounds)
        loops.append(Loop(name, seconds, speed_up, share, nats, reached, memory))
    here = {name: figures["here"][name] for name in ("machine", "device", "recipe")}
    here |= {name: float(np.median(limits[name])) for name in ("float32", "bfloat16")}
    here |= {"rate": literature.best(figures["rates"]), "date": figures["date"]}
    here |= {"images": figures["images"], "parts": figures["parts"]}
    return Comparison(kind, data_name, target=level, loops=loops, **here)


def store(root: Path, found: Comparison) -> None:
    """Keep and quote the figures, beside those of other networks and devices."""
    FIGURES.store(root, list({one.place: one for one in [*FIGURES.stored(root), found]}.values()))


FIGURES = record.Measurement[list[Comparison]](
    "bench",
    lambda kept: [Comparison(**one | {"loops": [Loop(**x) for x in one["loops"]]}) for one in kept or []],
    lambda found: (
        {one.place: one.markdown() for one in found} | ({"bench in short": found[0].short()} if found else {})
    ),
)
