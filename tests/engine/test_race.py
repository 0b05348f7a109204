"""The race: what is fixed is the same everywhere, and work is counted by whatever code it is done."""

import copy

import pytest
import torch
from torch import Tensor

from course_utils import objectives
from course_utils.checks import check
from course_utils.checks.probes import section_7
from course_utils.engine import race


def backward(model: torch.nn.Module, x: Tensor) -> None:
    objectives.negative_elbo(model, x).loss.backward()


WAYS = {
    "the model": backward,
    "a copy": lambda model, x: backward(copy.deepcopy(model), x),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_work_is_counted_whoever_does_it(way):
    with race.Work() as work:
        way(race.network(0), race.images()[0][:20])
    assert work.images == pytest.approx(20)


def test_an_entry_far_beyond_the_budget_is_stopped():
    said = r"after the work of \d+ images: the budget is 6,000"
    with pytest.raises(race.Overspent, match=said), race.Work(20):
        for _ in range(5):
            backward(race.network(0), torch.zeros(8, 1, 28, 28))


def test_a_network_s_weights_follow_its_seed_and_disturb_nobody():
    torch.manual_seed(3)
    one, again, other = (race.network(seed).encoder[0].weight for seed in (1, 1, 2))
    drawn = torch.rand(1)
    assert torch.equal(one, again) and not torch.equal(one, other)
    assert torch.equal(drawn, torch.rand(1, generator=torch.Generator().manual_seed(3)))


def test_no_held_out_image_is_trained_on():
    trained_on, held_out = race.images()
    assert (len(trained_on), len(held_out)) == (2000, 200)
    assert torch.cdist(trained_on.flatten(1), held_out.flatten(1)).min() > 0


def test_other_pixels_are_the_same_images_in_another_order():
    x = race.images()[1][:5]
    one, other = (section_7.shuffled(x, 0, network) for network in (0, 1))
    assert not torch.equal(one, other)
    assert torch.equal(one.flatten(1).sort(1).values, x.flatten(1).sort(1).values)


def test_an_unsolved_race_says_so():
    def train(model: object, images: Tensor, seed: int) -> None:
        raise NotImplementedError()

    report = check("train", {"train": train})
    assert report.points == 0 and report.note.startswith("Not yet")
