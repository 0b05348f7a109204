"""Formulas become MathML, every one of the course's, and what of LaTeX cannot be read stays readable."""

import pytest
from bs4 import BeautifulSoup
from programs import ROOT

from courseware import markup, notebooks


def drawn(latex: str, block: bool = True) -> BeautifulSoup:
    """What of a formula is shown: it without its annotation."""
    formula = BeautifulSoup(markup.mathml(latex, block), "html.parser")
    for annotation in formula.find_all("annotation"):
        assert annotation.extract().get_text() == latex
    return formula


def test_every_formula_of_the_lessons_is_drawn():
    formulas = 0
    for path in sorted((ROOT / "solutions").glob("*/*.ipynb")):
        for cell in notebooks.read(path).cells:
            if cell.cell_type == "markdown":
                tree = markup.markdown(cell.source)
                formulas += len(tree.find_all("math"))
                for other in tree.find_all(["annotation", "code", "pre"]):
                    other.decompose()
                assert not {"$", "\\"} & set(tree.get_text()), cell.source
    assert formulas > 500


@pytest.mark.parametrize(
    "latex, shown",
    [
        (r"z \sim p", '<mo stretchy="false">∼</mo>'),
        (r"q \Vert p", '<mo stretchy="false">‖</mo>'),
        (r"\mathrm{H}(q)", "<mtext>H</mtext>"),
        (r"\mathrm{marginal\ KL}", "<mtext>marginal\xa0KL</mtext>"),
        (r"\left[\sum_{i=1}^n x\right]", "<munderover><mo>∑</mo>"),
        (r"a \! b", 'width="-0.167em"'),
        (r"\overline{ab}", '<mrow class="overlined"><mrow><mi>a</mi><mi>b</mi></mrow></mrow>'),
        (r"a = -\log p", '<mo form="prefix">−</mo><mo lspace="0.167em" rspace="0.167em">log</mo>'),
        (r"(\log(p))", '<mo lspace="0" rspace="0">log</mo>'),
        (r"x_{a|b}", '<mo lspace="0" rspace="0" stretchy="false">|</mo>'),
        (r"\begin{aligned} a &= b \end{aligned}", '<mtd columnalign="left">'),
    ],
)
def test_a_formula_is_read_as_tex_reads_it(latex, shown):
    assert shown in str(drawn(latex))


@pytest.mark.parametrize("latex", [r"a \right)", "x" * 2_001])
def test_what_cannot_be_read_is_shown_as_it_stands(latex):
    assert markup.mathml(latex) == f"${latex}$" and markup.mathml(latex, True) == f"$${latex}$$"


def test_a_picture_that_is_missing_is_told_and_the_rest_is_drawn():
    drawn = str(markup.markdown("**mine** ![x](attachment:a%20b.png)"))
    assert "<strong>mine</strong>" in drawn and "[missing attachment: a b.png]" in drawn


PICTURES = ("![x]({})", '<img width=3 src="{}">', "In line: <img src='{}'>", '<div>\n<img src="{}">\n</div>')


@pytest.mark.parametrize("text", PICTURES)
def test_an_attached_picture_is_shown_however_the_text_writes_it(text):
    attached = {"a ä.png": {"image/png": "AAAA"}}
    drawn = markup.markdown(text.format("attachment:a%20%C3%A4.png"), attached)
    assert [shown["src"] for shown in drawn.select("img")] == ["data:image/png;base64,AAAA"]
