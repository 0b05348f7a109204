"""Digits: scikit-learn's, in their order, and variants that remain what they are variants of."""

import pytest
import torch
from pictures import fingerprint
from torch import Tensor

from course_utils.data import digits

Made = tuple[Tensor, Tensor, Tensor, Tensor]


@pytest.fixture(scope="module")
def made() -> Made:
    return digits.enlarged()


def test_digits_are_scikit_learn_s_digits_in_their_order(made):
    """Shrunk back to 8 x 8, every image is closest to the one it was made from."""
    from sklearn.datasets import load_digits

    images = torch.cat([made[0][:1415], made[2]])[..., 4:-4, 4:-4]
    shrunk = torch.nn.functional.adaptive_avg_pool2d(images, 8).flatten(1)
    source = torch.tensor(load_digits().data, dtype=torch.float32) / 16
    assert (torch.cdist(shrunk, source).argmin(1) == torch.arange(1797)).float().mean() > 0.97
    assert torch.cat([made[1][:1415], made[3]]).tolist() == load_digits().target.tolist()


def test_no_writer_s_digits_are_on_both_sides(made):
    """Writers begin with 0 to 9 three times over; and no neighbour tells of the same hand."""
    _, _, images, labels = made
    assert labels[:30].tolist() == [*range(10)] * 3
    nearest = torch.cdist(images[:130].flatten(1), made[0][:1415].flatten(1)).argmin(1)
    assert (nearest >= 1415 - 22).float().mean() < 0.1  # 0.29 of those after a cut 22 images into a block


def test_variants_of_a_digit_keep_its_label(made):
    labels = made[1].view(8, 1415)
    assert torch.equal(labels, labels[:1].expand(8, 1415))


def test_variants_of_a_digit_resemble_it_more_than_they_resemble_another(made):
    images = made[0].view(8, 1415, -1)
    to_itself = (images[1:] - images[0]).square().sum(2).mean()
    to_the_next = (images[1:] - images[0].roll(1, 0)).square().sum(2).mean()
    assert to_itself < 0.5 * to_the_next


def test_no_variant_of_a_digit_is_the_digit_itself(made):
    assert len({image.numpy().tobytes() for image in made[0]}) == 11_320


def test_the_pictures_are_those_that_the_course_s_numbers_come_from():
    images, labels, *_ = digits.enlarged(3 * digits.TRAIN)
    assert fingerprint(images) == pytest.approx(270.550, abs=0.01)
    assert labels.bincount().tolist() == [420, 429, 420, 432, 426, 429, 426, 423, 417, 423]


@pytest.mark.parametrize("wanted, made_of_them", [(1, 1415), (1415, 1415), (1416, 2830), (20_000, 11_320)])
def test_no_more_variants_are_made_than_are_wanted(made, wanted, made_of_them):
    images, labels, test_images, _ = digits.enlarged(wanted)
    assert len(images) == len(labels) == made_of_them
    assert torch.equal(images, made[0][:made_of_them]) and torch.equal(test_images, made[2])
