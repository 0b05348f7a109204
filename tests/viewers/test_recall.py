"""Questions on earlier sections: right answers are what the package computes, and ideas come back spaced."""

import math
import re
from collections import defaultdict
from collections.abc import Callable

import pytest
import torch
from torch import nn

from course_utils import evaluation, models, objectives
from course_utils.settings import CourseError
from course_utils.viewers import recall

SECTIONS = {
    "theory": 2, "vae": 3, "exploration": 4, "convolutional_vae": 5, "beta_vae": 6, "conditional_vae": 7,
    "latent_dimension": 7,
}  # fmt: skip


def number(value: float) -> torch.Tensor:
    return torch.tensor([[value]], dtype=torch.float64)


def kl(mu: float, sigma: float) -> float:
    return objectives.gaussian_kl(number(mu), number(sigma).square().log()).item()


def sample(mu: float, logvar: float, eps: float) -> float:
    return objectives.reparameterize(number(mu), number(logvar), number(eps)).item()


def squares(sigma: float) -> float:
    """What a summed squared error of 10 adds to -log p."""
    x_mean, x = torch.zeros(2, 1, 1, 10), torch.tensor([1.0, 0.0]).view(2, 1, 1, 1).expand(2, 1, 1, 10)
    nll = objectives.gaussian_nll(x_mean, x, sigma)
    return (nll[0] - nll[1]).item()


def gradients(steps: int) -> float:
    weight = torch.ones(1, requires_grad=True)
    for _ in range(steps):
        weight.sum().backward()
    return weight.grad.item()


def estimate(share: float, n: int) -> evaluation.Share:
    return evaluation.Share.of(torch.arange(n) < round(share * n))


def standard_error(sd: float, n: int) -> float:
    values = torch.randn(n)
    return evaluation.Estimate.of(sd * values / values.std()).standard_error


def logsumexp_less_bound(k: int) -> float:
    log_w = torch.randn(k, 1, dtype=torch.float64)
    return (torch.logsumexp(log_w, 0) - objectives.importance_weighted_bound(log_w)).item()


def codes(d: int, kind: type = models.Autoencoder) -> int:
    encoded = kind(d).encode(torch.zeros(1, 1, 28, 28))
    return encoded.numel() if isinstance(encoded, torch.Tensor) else sum(part.numel() for part in encoded)


# The first number of the right answer, by the package. Questions without one are answered in words.
COMPUTED: dict[str, Callable[..., float]] = {
    "numbers_in_a_code": codes,
    "from_mean_to_sum": lambda error: error * models.PIXELS,
    "forgotten_zero_grad": gradients,
    "weights_of_the_last_layer": lambda d: models.count_parameters(models.Autoencoder(d).encoder[-1]),
    "none_of_n": lambda n: float(re.search(r"[\d.]+", repr(estimate(0, n)))[0]),
    "kl_of_one_dimension": kl,
    "a_sample_by_hand": sample,
    "mean_over_pixels": lambda beta: objectives.real_beta(reconstruction="mean", beta=beta),
    "kl_of_the_prior": lambda d: objectives.gaussian_kl(torch.zeros(1, d), torch.zeros(1, d)).sum().item(),
    "log_mean_exp": lambda k: k * (abs(logsumexp_less_bound(k) - math.log(k)) < 1e-9),
    "standard_error": standard_error,
    "outputs_of_two_heads": lambda d: codes(d, models.VAE),
    "error_of_a_share": lambda share, n: 100 * estimate(share, n).standard_error,
    "nats_of_squares": squares,
    "price_of_certainty": lambda sigma: kl(0, sigma / 2) - kl(0, sigma),
    "sigma_of_logvar": lambda logvar: sample(0, logvar, 1),
}
CHOICES = [
    pytest.param(one, chosen, id=f"{one.name}-{n}")
    for one in recall.every()
    for n, chosen in enumerate(one.every())
]


@pytest.mark.parametrize(("one", "chosen"), [case for case in CHOICES if case.values[0].name in COMPUTED])
def test_the_right_answer_is_what_the_package_computes(one, chosen):
    _, answers = one.asked(chosen)
    found = re.search(r"-?\d[\d.,]*", next(iter(answers)).replace("−", "-"))[0].rstrip(".,").replace(",", "")
    torch.manual_seed(0)
    rounding = 0.51 * 10.0 ** -len(found.partition(".")[2])
    assert float(found) == pytest.approx(COMPUTED[one.name](**chosen), rel=0, abs=rounding)


def test_an_evaluation_mode_still_records_gradients():
    assert nn.Linear(2, 2).eval()(torch.zeros(1, 2)).requires_grad


def test_elbo_and_gap_make_the_evidence_and_the_parts_of_the_kl_add_up():
    by_name = {one.name: one for one in recall.every()}
    model, images = models.VAE(2), torch.rand(40, 1, 28, 28)
    parts = evaluation.kl_decomposition(model, images)
    added = by_name["parts_of_the_kl"].asked(
        {"information": parts.mutual_information, "marginal": parts.marginal_kl}
    )
    assert float(next(iter(added[1]))) == pytest.approx(
        evaluation.kl_per_dimension(model, images).sum().item(), abs=0.01
    )


@pytest.mark.parametrize(("one", "chosen"), CHOICES)
def test_answers_differ_and_each_is_explained(one, chosen):
    text, answers = one.asked(chosen)
    assert len(answers) == len(one.answers) >= 4 and text.endswith("?")
    assert all(said.endswith(".") for said in answers.values())


def test_there_are_thirty_and_every_section_from_2_on_opens_with_four_or_more():
    per_section = defaultdict(int)
    for one in recall.every():
        per_section[SECTIONS[one.part]] += 1
    assert len({one.name for one in recall.every()}) == sum(per_section.values()) >= 30
    assert sorted(per_section) == [2, 3, 4, 5, 6, 7] and min(per_section.values()) >= 4


def test_every_idea_returns_in_three_sections():
    found = defaultdict(set)
    for one in recall.every():
        found[one.idea].add(SECTIONS[one.part])
    assert {idea for idea, parts in found.items() if len(parts) < 3} == set()


def test_another_seed_draws_other_numbers_and_the_same_seed_the_same():
    shown = [recall.questions("vae", seed)._repr_html_() for seed in (0, 0, 1)]
    assert shown[0] == shown[1] != shown[2]


def test_the_page_needs_no_script_and_says_of_one_answer_that_it_is_right():
    page = re.sub(r"<script>.*?</script>", "", recall.questions("theory")._repr_html_(), flags=re.DOTALL)
    for item in page.split("<li ")[1:]:
        assert (item.count("<b>Yes.</b>"), item.count("<b>No.</b>")) == (1, 3)
        right = int(re.search(r'data-right="(\d)"', item)[1])
        assert "<b>Yes.</b>" in item.split("<details>")[1 + right]


def test_a_notebook_without_questions_is_told():
    with pytest.raises(CourseError, match=r"'autoencoder'.*theory, vae"):
        recall.questions("autoencoder")
