"""Ten kinds of clothing drawn by code: what stands in for Fashion-MNIST where there is no network.

These have its geometry (28 x 28, bright on black, shoes that point left), its classes in its order, and its
main difficulty: T-shirt, pullover, coat and shirt share one torso; the other six are easier here. A number
measured on one says nothing about the other.

A garment is polygons and lines on a canvas of four times the size, shrunk by averaging so that edges come out
soft; stripes, light, folds and grain are multiplied in afterwards. Lengths are in pixels of the final image.
The ranges were set by eye and by one test: 5 nearest neighbours among 10,000 images get 89% right.
"""

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

SIZE = 28
OVERSAMPLING = 4
TOP = 2  # the height of a garment's shoulders
ROWS, COLUMNS = np.mgrid[:SIZE, :SIZE] / (SIZE - 1) - 0.5

Points = list[tuple[float, float]]


class Pen:
    """Draws one garment in shades of one cloth, the whole slightly turned, scaled and shifted.

    Points are (x, y): x to the right of the garment's middle, y down from the top of the frame.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.tone = self.between(0.4, 0.95)
        self.pattern = np.ones((SIZE, SIZE))
        self.image = Image.new("L", (SIZE * OVERSAMPLING, SIZE * OVERSAMPLING))
        self.canvas = ImageDraw.Draw(self.image)
        angle, scale = self.between(-0.08, 0.08), OVERSAMPLING * self.between(0.92, 1.04)
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        self.turn = np.array([[cos, sin], [-sin, cos]])
        middle = np.array((SIZE / 2 + self.between(-1, 1), SIZE / 2 + self.between(-1, 1)))
        self.origin = OVERSAMPLING * middle - (0, SIZE / 2) @ self.turn

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self.rng.random()

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def shape(self, points: Points, shade: float = 1, corners: int = 1, twin: bool = False) -> None:
        """Fill a polygon with `shade` times the tone; `twin` fills its mirror image as well.

        Each of `corners` rounds cuts the corners off (Chaikin); a point given twice stays sharp.
        """
        outline = np.array(points)
        for _ in range(corners):
            following = np.concatenate((outline[1:], outline[:1]))
            quarters = (0.75 * outline + 0.25 * following, 0.25 * outline + 0.75 * following)
            outline = np.concatenate(quarters, axis=1).reshape(-1, 2)
        for path in self._sides(outline, twin):
            self.canvas.polygon(path, self._grey(shade))

    def line(self, points: Points, shade: float, width: float = 0.6, twin: bool = False) -> None:
        """A seam, strap or lace through the points; `twin` draws its mirror image as well."""
        for path in self._sides(np.array(points), twin):
            self.canvas.line(path, self._grey(shade), round(width * OVERSAMPLING), joint="curve")

    def stripes(self, probability: float) -> None:
        """Perhaps weave stripes into the cloth, across more often than along."""
        if self.chance(probability):
            axis = ROWS if self.chance(0.6) else COLUMNS
            wave = np.sin(self.between(25, 60) * axis + self.between(0, 6))
            self.pattern -= self.between(0.1, 0.45) * (wave > self.between(-0.3, 0.5))

    def finish(self) -> np.ndarray:
        """The image (28, 28) in [0, 1]: light from one side, soft folds, the grain of the cloth."""
        slant = self.between(-0.3, 0.3) * COLUMNS + self.between(-0.2, 0.2) * ROWS
        wave = self.between(4, 16) * COLUMNS + self.between(-8, 8) * ROWS + self.between(0, 6)
        grain = self.between(0.01, 0.05) * self.rng.standard_normal((SIZE, SIZE))
        light = self.pattern * (1 + slant + self.between(0, 0.15) * np.sin(wave) + grain)
        return np.clip(np.asarray(self.image.reduce(OVERSAMPLING)) / 255 * light, 0, 1)

    def _grey(self, shade: float) -> int:
        return min(255, round(255 * self.tone * shade))

    def _sides(self, points: np.ndarray, twin: bool) -> list[list[float]]:
        """Where points lie on the canvas and, with `twin`, those of their mirror image."""
        sides = (1, -1)[: 1 + twin]
        return [(points * (side, 1) @ self.turn + self.origin).ravel().tolist() for side in sides]


def mirrored(half: Points) -> Points:
    """The closed outline whose right half runs from top to bottom through `half`."""
    return [*half, *((-x, y) for x, y in reversed(half))]


def torso(pen: Pen, width: float, hem: float, sleeve: float, spread: float) -> float:
    """Body and sleeves, which the four tops share; returns the half-width of the neck.

    `width` is the half-width at the shoulders, `hem` how far down the body ends, `sleeve` the length of the
    sleeves (0 for none) and `spread` their angle to the vertical in radians.
    """
    neck, waist = pen.between(2, 3.2), width * pen.between(0.8, 1)
    shoulder = TOP + pen.between(1, 2.2)
    armpit = shoulder + pen.between(5, 6.5)
    if sleeve:
        down, out, cuff = np.cos(spread), np.sin(spread), pen.between(2.6, 3.6)
        outer = (width + sleeve * out, shoulder + sleeve * down)
        inner = (outer[0] - cuff * down, outer[1] + cuff * out)
        arm = [(neck, TOP), (width, shoulder), outer, outer, inner, inner, (width - 1.5, armpit)]
        pen.shape(arm, pen.between(0.8, 0.95), twin=True)
    side = [(width, shoulder), (width - 0.8, armpit), (waist, (armpit + hem) / 2)]
    bottom = (waist * pen.between(0.95, 1.15), hem)
    pen.shape(mirrored([(neck, TOP), (neck, TOP), *side, bottom, bottom]))
    # Long sleeves hang against the body: without this shadow the two would be one blob.
    pen.line([*side, bottom], pen.between(0.3, 0.7), 0.5, twin=True)
    return neck


def neckline(pen: Pen, neck: float, depth: float) -> None:
    """The opening for the head, round or pointed, cut out of a band of another shade."""
    bulge = pen.between(0.75, 0.9) if pen.chance(0.7) else 0.5
    for rim, shade in ((0.8, pen.between(0.6, 1.2)), (0, 0)):
        width, bottom = neck + rim / 2, TOP + depth + rim
        half = [(width, TOP - 1 + rim), (bulge * width, bottom - 0.5 * depth)]
        pen.shape(mirrored([half[0], *half, ((bulge - 0.4) * width, bottom)]), shade)


def collar(pen: Pen, neck: float, depth: float, shade: float) -> None:
    """Two flaps that meet at the throat, before the inside of the back."""
    throat = (0, TOP + depth)
    pen.shape([(-neck, TOP - 0.5), (neck, TOP - 0.5), throat], 0.45, corners=0)
    flap = [(neck - 0.4, TOP - 1.2), (neck + 1.2, TOP + 0.6), (neck * 0.6, TOP + depth + 1.2)]
    pen.shape([*flap, throat], shade, corners=0, twin=True)


def opening(pen: Pen, start: float, end: float, shade: float, width: float) -> None:
    """The edge down the front, about the middle, mostly with buttons beside it."""
    edge, row = pen.between(-1.3, 1.3), pen.between(-1.5, 1.5)
    pen.line([(edge, start), (edge, end)], shade, width)
    if pen.chance(0.7):
        shade = pen.between(0.4, 1.3)
        for y in np.linspace(start + 1, end - 1, pen.rng.integers(3, 7)):
            pen.line([(row - 0.4, y), (row + 0.4, y)], shade, 0.9)


def t_shirt(pen: Pen) -> None:
    width, hem = pen.between(5.8, 8), pen.between(24, 27)
    sleeve = 0 if pen.chance(0.12) else pen.between(4, 9)
    neck = torso(pen, width, hem, sleeve, pen.between(0.3, 0.95))
    neckline(pen, neck, pen.between(1.2, 4.5))
    if pen.chance(0.15):  # a polo shirt
        collar(pen, neck, 2, pen.between(0.8, 1.2))
        opening(pen, TOP + 2, TOP + 8, 0.7, 0.6)
    elif pen.chance(0.35):  # a print on the chest
        x, y, bottom = pen.between(2, 4), pen.between(9, 12), pen.between(14, 19)
        pen.shape(mirrored([(x, y), (x, bottom)]), pen.between(0.5, 1.4), corners=2)
    pen.stripes(0.2)


def trouser(pen: Pen) -> None:
    waist, hip, ankle = pen.between(3.6, 5.2), pen.between(4.4, 6.4), pen.between(2, 4.2)
    crotch, hem, stance = pen.between(8, 11), pen.between(25.5, 27.5), pen.between(0.2, 2)
    outside, inside = (stance + ankle, hem), (stance, hem)
    leg = [(waist, 1), (waist, 1), (hip, crotch - 1), outside, outside, inside, inside]
    pen.shape([*leg, (0.1, crotch + 1), (-0.3, crotch), (-0.3, 1)], twin=True)
    pen.line([(0, 2), (0, crotch + 1)], 0.7)
    pen.line([(-waist, 2.5), (waist, 2.5)], pen.between(0.6, 1.1), 0.8)
    pen.line([(waist * 0.5, 3), (hip - 0.8, 6)], 0.7, twin=True)  # pockets


def pullover(pen: Pen) -> None:
    width, hem = pen.between(6.1, 8), pen.between(23, 26.3)
    neck = torso(pen, width, hem, pen.between(16.5, 21), pen.between(0.08, 0.26))
    if pen.chance(0.2):  # a cardigan
        opening(pen, TOP + 1, hem, pen.between(0.5, 0.9), 0.6)
    if pen.chance(0.25):  # a turtleneck
        pen.shape(mirrored([(neck, TOP - 1.5), (neck, TOP + 1.5)]), pen.between(0.7, 0.95), corners=0)
    else:
        neckline(pen, neck, pen.between(1, 3.2))
    pen.line([(-5.5, hem - 1.5), (5.5, hem - 1.5)], pen.between(0.6, 0.95))  # the ribbed hem
    pen.stripes(0.3)


def dress(pen: Pen) -> None:
    shoulder, waist, flare = pen.between(3.2, 5.2), pen.between(2.6, 4.4), pen.between(3.5, 8)
    belt, hem = pen.between(10, 13.5), pen.between(25.5, 27.8)
    if pen.chance(0.4):
        outer = (shoulder + pen.between(0.8, 3.5), TOP + pen.between(3, 17))
        arm = [(shoulder - 1.5, TOP), (shoulder, TOP), outer, outer, (outer[0] - 2, outer[1])]
        pen.shape([*arm, (shoulder - 1, TOP + 6)], 0.85, twin=True)
    bodice = [(shoulder, TOP - 1), (shoulder, TOP), (shoulder - 0.6, TOP + 5), (waist, belt)]
    pen.shape(mirrored([*bodice, (flare * 0.85, 20), (flare, hem), (flare, hem)]))
    neckline(pen, shoulder - pen.between(1, 1.6), pen.between(1.5, 5))
    if pen.chance(0.6):
        pen.line([(-waist, belt), (waist, belt)], pen.between(0.4, 0.8), pen.between(0.5, 1.3))
    pen.line([(waist * 0.4, belt + 1), (flare * 0.5, hem - 1)], pen.between(0.7, 1), twin=True)  # folds
    pen.stripes(0.2)


def coat(pen: Pen) -> None:
    width, hem = pen.between(6.6, 8.4), pen.between(25, 27.5)
    neck = torso(pen, width, hem, pen.between(17.5, 21), pen.between(0.06, 0.22))
    depth = pen.between(2.5, 9)
    collar(pen, neck, depth, pen.between(0.7, 1.1))
    opening(pen, TOP + depth, hem, pen.between(0.15, 0.8), pen.between(0.5, 1.1))
    pocket = pen.between(16, 19)
    pen.line([(2.5, pocket + 1), (5.2, pocket)], pen.between(0.5, 1), twin=True)


def sandal(pen: Pen) -> None:
    heel, sole, ball = pen.between(0.5, 8), pen.between(1.2, 2.4), pen.between(-4, -1)
    ground = pen.between(18, 20) + heel / 3
    foot, back, shade = ground - sole, ground - heel - sole, pen.between(0.7, 1.1)
    arch = [(13, ground), (10.5, ground), (8, back + sole + 0.3), (ball + 1, ground)]
    pen.shape([(-13, foot), (ball, foot), (7, back), (13, back), *arch, (-13, ground)])
    for _ in range(pen.rng.integers(1, 4)):  # straps over the toes
        x, y = pen.between(-12, -3), foot - pen.between(2.5, 5)
        pen.line([(x, foot), (x + 1.5, y), (x + 4, y), (x + 6, foot)], shade, pen.between(0.8, 2.2))
    ankle = back - pen.between(3.5, 7)
    if pen.chance(0.8):
        pen.line([(12, back), (11.5, ankle), (5, ankle + 0.5), (4, back + sole)], shade, 1.1)
        if pen.chance(0.5):
            pen.line([(5, ankle + 0.5), (-3, foot - 3)], shade, pen.between(0.8, 2))


def shirt(pen: Pen) -> None:
    width, hem, depth = pen.between(5.7, 7.5), pen.between(24.5, 27.3), pen.between(1.5, 4)
    sleeve, spread = ((6, 11), (0.25, 0.7)) if pen.chance(0.25) else ((16, 20.5), (0.1, 0.28))
    neck = torso(pen, width, hem, pen.between(*sleeve), pen.between(*spread))
    if pen.chance(0.75):
        collar(pen, neck, depth, pen.between(0.85, 1.2))
    else:
        neckline(pen, neck, depth)
    opening(pen, TOP + depth, hem, pen.between(0.5, 1), 0.6)
    pen.stripes(0.4)


def sneaker(pen: Pen) -> None:
    ground, sole, throat = pen.between(18, 21), pen.between(1.2, 2.6), pen.between(-2, 3.5)
    toe, ankle = ground - pen.between(3.5, 5.5), ground - pen.between(7, 10.5)
    if pen.chance(0.25):  # a high one
        ankle -= pen.between(1, 4)
    front = [(-13.5, ground), (-13.5, toe + 1), (-9, toe), (throat - 4, toe - 1.2), (throat, ankle)]
    back = [(throat + 4, ankle + 2), (10, ankle + 1), (12, ankle - 0.5), (13.3, ankle + 3)]
    pen.shape([*front, *back, (13.3, ground)])
    pen.shape(mirrored([(13.5, ground - sole), (13.5, ground)]), pen.between(0.5, 1.6))
    shade = pen.between(0.4, 1.5)
    for lace in range(pen.rng.integers(2, 5)):
        x, y = throat - 1 - 1.6 * lace, toe - 2 + 0.4 * lace
        pen.line([(x - 0.5, y), (x + 1.2, y + 2.5)], shade)
    if pen.chance(0.6):  # a mark on the side
        x = pen.between(2, 5)
        pen.line([(x, ground - sole - 1), (x + 3, ankle + 3)], shade, 1.2)


def bag(pen: Pen) -> None:
    width, top, bottom = pen.between(8.5, 13), pen.between(7.5, 13), pen.between(21, 26)
    narrow, reach, high = width - pen.between(-1, 2), pen.between(3, 8), pen.between(2, 6)
    arc = [(reach, top + 1), (reach * 0.8, high + 1), (reach * 0.4, high), (0, high)]
    if pen.chance(0.85):
        pen.line(arc, pen.between(0.7, 1), pen.between(0.9, 2), twin=True)
    pen.shape(mirrored([(narrow, top), (narrow, top), (width, bottom), (width, bottom)]))
    if pen.chance(0.6):
        flap = top + pen.between(3, 8)
        pen.shape(mirrored([(narrow, top), (narrow - 0.5, flap)]), pen.between(0.6, 0.95))
        pen.line([(-1, flap), (1, flap)], pen.between(0.3, 1.5), 1.8)  # its clasp
    else:
        pen.line([(-narrow + 1, top + 1.5), (narrow - 1, top + 1.5)], pen.between(0.4, 0.8))
    pen.stripes(0.15)


def ankle_boot(pen: Pen) -> None:
    ground, sole, heel = pen.between(21, 26), pen.between(0.8, 1.8), pen.between(0.5, 3.5)
    cuff, instep = ground - pen.between(12.5, 23), ground - pen.between(6, 8)
    throat = pen.between(-1, 3.5)
    foot, back, shade = ground - sole, ground - heel, pen.between(0.5, 1.3)
    front = [(-13, foot), (-13, foot - 2), (-9, instep + 2), (throat - 2, instep - 1)]
    shaft = [(throat, instep - 4), (throat, cuff), (throat, cuff), (12, cuff), (12, cuff)]
    pen.shape([*front, *shaft, (11.5, instep), (13, back - 1), (12.5, back)])
    pen.shape([(-13, foot), (2, foot), (3, ground), (-13, ground)], shade, corners=0)
    block = [(2, foot), (13, back - 1), (12.5, ground), (7, ground), (6, ground - heel / 2)]
    pen.shape(block, shade, corners=0)
    if pen.chance(0.5):  # laces or a zip
        pen.line([(throat + 0.5, cuff + 1), (throat - 2, instep)], pen.between(0.5, 0.8), 0.8)
    else:
        pen.line([(7, cuff), (6, ground - 5)], pen.between(0.5, 0.8), 0.8)
    pen.line([(throat, cuff + 0.5), (12, cuff + 0.5)], pen.between(0.6, 1.2), 0.9)


CLASS_NAMES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
               "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")  # fmt: skip
GARMENTS = (t_shirt, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag, ankle_boot)


def draw(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """`count` images (count, 1, 28, 28) float32 in [0, 1] and their labels (count,) int64.

    Every ten images in a row hold each class once, in an order of their own. Image i depends on `seed` and i
    alone, so a large draw begins with the smaller ones.
    """
    images, labels = np.empty((count, 1, SIZE, SIZE), np.float32), np.empty(count, np.int64)
    for i in range(count):
        if i % 10 == 0:  # the last number keeps the two kinds of generator apart
            order = np.random.default_rng((seed, i, 1)).permutation(10)
        labels[i] = order[i % 10]
        pen = Pen(np.random.default_rng((seed, i, 2)))
        GARMENTS[labels[i]](pen)
        images[i, 0] = pen.finish()
    return torch.from_numpy(images), torch.from_numpy(labels)
