"""Drawings of models: their numbers are those of the models, and they say in words what they show."""

from xml.etree import ElementTree

import pytest
from torch import nn

from course_utils import models
from course_utils.viewers import drawings

DRAWN = {
    "autoencoder": (drawings.autoencoder(), models.Autoencoder()),
    "VAE": (drawings.vae(), models.VAE()),
}


def sizes(layers: nn.Module) -> str:
    linear = [layer for layer in layers.modules() if isinstance(layer, nn.Linear)]
    return "-".join(map(str, [linear[0].in_features, *(layer.out_features for layer in linear)]))


@pytest.mark.parametrize("name", DRAWN)
def test_the_layers_drawn_are_those_of_the_model(name):
    drawing, model = DRAWN[name]
    shown = {text.text for text in ElementTree.fromstring(drawing._repr_html_()).iter("tspan")}
    last = f"-{model.latent_dim}"  # drawn as the code itself
    assert {
        sizes(model.encoder).removesuffix(last),
        sizes(model.decoder).removeprefix(last[1:] + "-"),
    } <= shown


@pytest.mark.parametrize("beta", ["", "β"])
@pytest.mark.parametrize("label", ["", "y"])
def test_both_terms_of_the_loss_stand_in_the_drawing_and_in_its_words(label, beta):
    drawing = drawings.vae(label=label, beta=beta)
    given = f",{label}" * bool(label)
    for part in (f"KL(q(z|x{given}) ‖ p(z))", f"−log p(x|z{given})", beta):
        assert part in drawing.alt and part in drawing._repr_html_()


def test_a_drawing_takes_the_colour_of_its_page():
    drawn = drawings.vae()._repr_html_()
    assert "currentColor" in drawn and "#" not in drawn.replace("url(#tip)", "")
