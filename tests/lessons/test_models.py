"""The four models: shapes, sizes, names, and what depends on what."""

import itertools

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_utils.models import CVAE, VAE, Autoencoder, ConvVAE, count_parameters

every_model = pytest.mark.parametrize("kind", [Autoencoder, VAE, ConvVAE, CVAE])


def images(count: int) -> Tensor:
    return torch.rand(count, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def condition(kind: type[nn.Module], count: int) -> tuple[Tensor, ...]:
    """What `kind` takes besides images or codes."""
    return (torch.arange(count) % 10,) if kind is CVAE else ()


def encoded(model: nn.Module, x: Tensor, *y: Tensor) -> tuple[Tensor, ...]:
    code = model.encode(x, *y)
    return code if isinstance(code, tuple) else (code,)


# An odd batch and a batch of one: nothing may be hard-coded, nothing squeezed away.
@pytest.mark.parametrize("batch", [1, 97])
@pytest.mark.parametrize("latent_dim", [1, 2, 20])
@every_model
def test_codes_have_a_row_per_image_and_a_column_per_latent_and_decode_to_images(kind, latent_dim, batch):
    model, x, y = kind(latent_dim), images(batch), condition(kind, batch)
    codes = encoded(model, x, *y)
    assert [code.shape for code in codes] == [(batch, latent_dim)] * (1 if kind is Autoencoder else 2)
    assert model.decode(torch.randn(batch, latent_dim), *y).shape == model(x, *y).shape == x.shape


@every_model
def test_a_reconstruction_decodes_the_code_or_the_mean_and_draws_no_noise(kind):
    model, x, y = kind(5), images(7), condition(kind, 7)
    before = torch.get_rng_state()
    assert torch.equal(model(x, *y), model.decode(encoded(model, x, *y)[0], *y))
    assert torch.equal(torch.get_rng_state(), before)


# --- sizes and names -----------------------------------------------------------------------------


def test_models_have_as_many_weights_as_the_course_says():
    assert [count_parameters(VAE(latent_dim)) for latent_dim in (20, 2)] == [1_082_680, 1_068_820]
    assert count_parameters(ConvVAE(20)) < 0.3 * count_parameters(VAE(20))


def test_frozen_weights_are_not_counted():
    model = nn.Linear(3, 2)
    model.weight.requires_grad_(False)
    assert count_parameters(model) == 2


def heads(hidden: int) -> dict[str, nn.Module]:
    return {"fc_mu": nn.Linear(hidden, 20), "fc_logvar": nn.Linear(hidden, 20)}


def mlp(*sizes: int) -> list[nn.Module]:
    """Linear layers of these sizes, a ReLU after each."""
    return [part for n, m in itertools.pairwise(sizes) for part in (nn.Linear(n, m), nn.ReLU())]


TEXTBOOK: dict[type[nn.Module], dict[str, nn.Module]] = {
    Autoencoder: {"encoder": nn.Sequential(*mlp(784, 256, 128, 20)[:-1]),
                  "decoder": nn.Sequential(*mlp(20, 128, 256, 784)[:-1])},
    VAE: {"encoder": nn.Sequential(*mlp(784, 512, 256)), **heads(256),
          "decoder": nn.Sequential(*mlp(20, 256, 512, 784)[:-1])},
    CVAE: {"encoder": nn.Sequential(*mlp(784 + 10, 512, 256)), **heads(256),
           "decoder": nn.Sequential(*mlp(20 + 10, 256, 512, 784)[:-1])},
    ConvVAE: {"encoder": nn.Sequential(nn.Conv2d(1, 32, 3, 2, 1), nn.ReLU(),
                                       nn.Conv2d(32, 64, 3, 2, 1), nn.ReLU()),
              **heads(64 * 7 * 7), "fc_decode": nn.Linear(20, 64 * 7 * 7),
              "decoder": nn.Sequential(nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU(),
                                       nn.ConvTranspose2d(32, 1, 4, 2, 1))},
}  # fmt: skip


@every_model
def test_the_textbook_s_layers_load_a_model_s_weights_and_give_its_numbers(kind):
    model, layers, conv = kind(20), nn.ModuleDict(TEXTBOOK[kind]), kind is ConvVAE
    x, z, y = images(7), torch.randn(7, 20), condition(kind, 7)
    assert [*layers.state_dict()] == [*model.state_dict()]
    layers.load_state_dict(model.state_dict())

    def joined(rows: Tensor) -> Tensor:
        return torch.cat([rows.flatten(1), *(F.one_hot(labels, 10) for labels in y)], dim=1)

    hidden = layers["encoder"](x if conv else joined(x)).flatten(1)
    codes = [layers[head](hidden) for head in ("fc_mu", "fc_logvar") if head in layers] or [hidden]
    logits = layers["decoder"](layers["fc_decode"](z).view(-1, 64, 7, 7) if conv else joined(z))
    torch.testing.assert_close([*encoded(model, x, *y)], codes)
    torch.testing.assert_close(model.decode(z, *y), logits.view(-1, 1, 28, 28))


def test_one_hot_rows_have_their_one_at_the_label_and_are_as_long_as_there_are_classes():
    assert CVAE(num_classes=4).one_hot(torch.tensor([1, 3])).tolist() == [[0, 1, 0, 0], [0, 0, 0, 1]]
