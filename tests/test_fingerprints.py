"""The same code has the same fingerprints, however it is written down, and no code stops the reading."""

import pytest

from courseware import fingerprints
from courseware.fingerprints import alike, prints

CODE = """
class Model(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.layer = nn.Linear(784, size)

    def encode(self, x):
        hidden = self.layer(x.flatten(1)).exp()
        scaled = hidden * 0.5 + x.mean()
        return scaled / scaled.sum(1)
"""
SAME = {
    "other names": [("hidden", "h"), ("scaled", "out"), ("layer", "first"), ("size", "n"), ("Model", "Net")],
    "comments, types and a docstring": [
        ("(self, x):", '(self, x: torch.Tensor) -> torch.Tensor:\n        """A code."""  # mine\n'),
        ("hidden =", "hidden: torch.Tensor ="),
    ],
    "other layout": [
        ("nn.Linear(784, size)", "(nn.Linear(\n            784,\n            size,\n        ))")
    ],
    "prints": [("        scaled =", "        print('so far', hidden)\n        scaled =")],
    "sums and products turned round": [("hidden * 0.5 + x.mean()", "x.mean() + 0.5 * hidden")],
    "functions for methods": [
        ("self.layer(x.flatten(1)).exp()", "torch.exp(self.layer(torch.flatten(x, 1)))")
    ],
    "other names of modules": [("nn.", "layers."), ("\nclass", "from torch import nn as layers\nclass")],
}


@pytest.mark.parametrize("edits", SAME.values(), ids=SAME)
def test_the_same_in_other_words_has_the_same_fingerprints(edits):
    code = CODE
    for old, new in edits:
        assert old in code
        code = code.replace(old, new)
    assert prints(code).keys() == prints(CODE).keys()


def test_the_order_of_definitions_does_not_matter():
    first, second = "def f(x):\n    return x.exp() ** 3 / 7\n", "def g(y):\n    return y[0] - y[1:].log()\n"
    assert prints(first + second).keys() == prints(second + first).keys()


def test_a_helper_of_one_line_is_read_where_it_is_called():
    helped = "def plus(one, two):\n    return one + two\n\n" + CODE.replace(
        "hidden * 0.5 + x.mean()", "plus(hidden * 0.5, x.mean())"
    )
    assert prints(helped).keys() >= prints(CODE).keys()


def test_other_code_has_other_fingerprints_and_what_is_short_is_alike_to_nothing():
    other = CODE.replace(".exp()", ".tanh()").replace("/ scaled.sum(1)", "- scaled[:, :1] ** 2")
    one, two = set(prints(CODE)), set(prints(other))
    assert alike(one, one, 20) and not alike(one, two, 20, 0.9)
    few = set(list(one)[: fingerprints.ENOUGH - 1])
    assert not alike(few, few)


def test_fingerprints_know_their_lines():
    found = prints("x = 1\n\ny = torch.exp(x) * 2 - x ** 3 / 4\n")
    assert {line for lines in found.values() for line in lines} == {1, 3}


def test_a_magic_hides_nothing_and_moves_no_line():
    magic = prints("%matplotlib inline\n!ls\n" + CODE)
    assert magic.keys() == prints(CODE).keys()
    assert min(min(lines) for lines in magic.values()) == 2 + min(min(one) for one in prints(CODE).values())


DOUBLING = "def f(x):\n    return x + x\n" + "y = " + "f(" * 40 + "1" + ")" * 40
FILLING = "def f(x):\n    return [x" + ", 1" * 999 + "]\n" + "f(1)\n" * 9999
ENDLESS = "def f(x):\n    return f(x)\ny = f(1)"


@pytest.mark.parametrize(
    "code", ["def f(:", "(" * 9999, "x = " + "-" * 9999 + "1", "\0", DOUBLING, FILLING, ENDLESS, ""]
)
def test_no_code_stops_the_reading(code):
    assert len(prints(code)) < 999
