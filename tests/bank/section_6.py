"""Answers to section 6: beta_loss, warm_up."""

from __future__ import annotations

from bank.answers import Answer, edited

# --- 6.1 beta_loss ----------------------------------------------------------------------------------

LOSS = """
def beta_loss(x_logits, x, mu, logvar, beta):
    reconstruction = F.binary_cross_entropy_with_logits(x_logits, x, reduction="none").flatten(1)
    kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar)
    return (reconstruction.sum(1) + beta * kl.sum(1)).mean()
"""

LOSSES = [
    Answer("beta_loss", "sum within an image, mean over images", LOSS),
    Answer(
        "beta_loss",
        "everything summed, then divided by the batch",
        """
def beta_loss(x_logits, x, mu, logvar, beta):
    nll = F.binary_cross_entropy_with_logits(x_logits, x, reduction="sum") / len(x)
    return nll + beta * (-0.5 * (1 + logvar - mu**2 - logvar.exp())).sum() / len(x)
""",
    ),
    Answer(
        "beta_loss",
        "torch.distributions",
        """
def beta_loss(x_logits, x, mu, logvar, beta):
    nll = -Bernoulli(logits=x_logits).log_prob(x).sum((1, 2, 3)).mean()
    kl = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(0.0, 1.0)).sum(-1).mean()
    return nll + beta * kl
""",
    ),
    Answer(
        "beta_loss",
        "a loop over images",
        """
def beta_loss(x_logits, x, mu, logvar, beta):
    total = 0
    for i in range(len(x)):
        total = total + (F.softplus(x_logits[i]) - x[i] * x_logits[i]).sum()
        total = total + beta * (mu[i].pow(2) + logvar[i].exp() - 1 - logvar[i]).sum() / 2
    return total / len(x)
""",
    ),
]

_RETURN = "return (reconstruction.sum(1) + beta * kl.sum(1)).mean()"

WRONG_LOSSES = edited(
    "beta_loss",
    LOSS,
    [
        (
            "beta on the reconstruction",
            _RETURN,
            "return (beta * reconstruction.sum(1) + kl.sum(1)).mean()",
            "belongs to the KL",
        ),
        (
            "beta on both",
            _RETURN,
            "return beta * (reconstruction.sum(1) + kl.sum(1)).mean()",
            "nothing is left",
        ),
        ("pixels averaged", "reconstruction.sum(1)", "reconstruction.mean(1)", "averaged over pixels"),
        ("latent dimensions averaged", "kl.sum(1)", "kl.mean(1)", "averaged over latent"),
        ("summed over the batch", "kl.sum(1)).mean()", "kl.sum(1)).sum()", "Summed over the batch"),
        ("the KL subtracted", "+ beta", "- beta", "subtracted"),
        ("the ELBO in place of its negative", "return (", "return -(", "minus the log-l"),
        ("beta ignored", "beta * kl", "kl", "is beta used"),
        ("one loss per image", "kl.sum(1)).mean()", "kl.sum(1))", "average over the batch"),
        ("the 1/2 of the KL forgotten", "0.5 * ", "", "1/2"),
        ("beta squared", "beta *", "beta**2 *", "beta squared"),
        (
            "a blend of the two terms",
            "(reconstruction.sum(1) +",
            "((1 - beta) * reconstruction.sum(1) +",
            "lighter",
        ),
        ("a plain number", ".mean()", ".mean().item()", "No gradient arrives"),
        ("detached", ".mean()", ".mean().detach()", "No gradient arrives"),
        ("nothing returned", "return", "loss =", "returned None"),
    ],
)

# --- 6.2 warm_up ------------------------------------------------------------------------------------

RISE = """
def warm_up(t, share, top):
    return top * min(1.0, t / share)
"""

RISES = [
    Answer("warm_up", "min", RISE),
    Answer(
        "warm_up",
        "an if",
        """
def warm_up(t, share, top):
    if t >= share:
        return top
    return top * t / share
""",
    ),
    Answer(
        "warm_up",
        "a clamped tensor",
        """
def warm_up(t, share, top):
    return torch.clamp(torch.tensor(t / share), max=1) * top
""",
    ),
    Answer(
        "warm_up",
        "np.interp",
        """
def warm_up(t, share, top):
    return np.interp(t, [0, share], [0, top])
""",
    ),
]

_RISE = "top * min(1.0, t / share)"

WRONG_RISES = edited(
    "warm_up",
    RISE,
    [
        ("never stops rising", _RISE, "top * t / share", "goes on rising"),
        ("share ignored", _RISE, "top * t", "whole training"),
        ("rises to 1", _RISE, "min(1.0, t / share)", "rises to 1"),
        ("stops at 1", _RISE, "min(1.0, top * t / share)", "stops at 1"),
        ("not divided by share", _RISE, "top * min(share, t)", "not divided"),
        ("top as a limit only", _RISE, "min(top, t / share)", "upper limit"),
        ("falls in place of rising", _RISE, f"top - {_RISE}", "falls from"),
        ("jumps at share", _RISE, "top if t >= share else 0.0", "jumps"),
        ("jumps after share", _RISE, "top if t > share else 0.0", "jumps"),
        ("falls back after share", _RISE, "top * t / share if t <= share else 0.0", "falls back"),
        ("top from the start", _RISE, "top", "from the start"),
        ("nothing returned", "return", "beta =", "Your code stopped"),
        ("a value for every t", _RISE, f"torch.full((3,), {_RISE})", "Your code stopped"),
    ],
)

RIGHT = LOSSES + RISES
WRONG = WRONG_LOSSES + WRONG_RISES
