"""Clothing drawn by code: what a data set must be, whatever the drawings look like."""

import pytest
import torch
from pictures import fingerprint

from course_utils import evaluation
from course_utils.data import garments

Drawn = tuple[torch.Tensor, torch.Tensor]


@pytest.fixture(scope="module")
def drawn() -> Drawn:
    return garments.draw(600, seed=0)


def test_every_ten_images_hold_each_class_once(drawn):
    assert torch.equal(drawn[1].view(-1, 10).sort(1).values, torch.arange(10).expand(60, 10))


def test_the_classes_come_in_no_fixed_order(drawn):
    assert len(drawn[1].view(-1, 10).unique(dim=0)) > 50


@pytest.mark.parametrize("count", [0, 1, 9, 10, 97])
def test_a_large_draw_begins_with_a_smaller_one(count, drawn):
    for few, many in zip(garments.draw(count, seed=0), drawn, strict=True):
        assert torch.equal(few, many[:count])


def test_no_image_is_drawn_twice(drawn):
    assert len({image.numpy().tobytes() for image in drawn[0]}) == 600


def test_every_garment_covers_a_visible_part_of_its_frame_and_leaves_background_black(drawn):
    covered, black = ((chosen).flatten(1).float().mean(1) for chosen in (drawn[0] > 0.1, drawn[0] == 0))
    assert covered.min() > 0.05 and black.min() > 0.1


def test_shoes_point_left(drawn):
    """Their left half is the flat toe, so the upper left quarter is emptier than the upper right one."""
    images, labels = drawn
    shoes = images[(labels == 7) | (labels == 9), 0, :14]
    assert shoes[..., :14].mean() < 0.5 * shoes[..., 14:].mean()


def test_class_names_are_those_of_fashion_mnist_in_their_order():
    names = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag"]
    assert list(garments.CLASS_NAMES) == [*names, "Ankle boot"]


def test_classes_can_be_told_apart_on_raw_pixels_but_not_perfectly(drawn):
    images, labels = drawn
    accuracy = evaluation.knn_accuracy(images[:400], labels[:400], images[400:], labels[400:])
    assert 0.5 < accuracy < 0.97


def test_the_pictures_are_those_that_the_course_s_numbers_come_from(drawn):
    assert fingerprint(drawn[0]) == pytest.approx(99.0498, abs=0.01)
