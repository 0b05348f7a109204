"""Answers to section 6: beta_loss, warm_up, mutual_information_gap."""

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
    nll = -Bernoulli(logits=x_logits, validate_args=False).log_prob(x).sum((1, 2, 3)).mean()
    kl = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(0.0, 1.0)).sum(-1).mean()
    return nll + beta * kl
""",
    ),
    Answer(
        "beta_loss",
        "an nn.Module, float64 inside, with a keyword of its own",
        """
class BetaLoss(nn.Module):
    def forward(self, logits, images, mean, log_variance, beta=1.0, *, verbose=True):
        if verbose:
            print("one batch")
        per_image = nn.BCEWithLogitsLoss(reduction="none")(logits.double(), images.double()).sum((1, 2, 3))
        sigma = log_variance.double().div(2).exp()
        return torch.mean(per_image + beta * (0.5 * (mean**2 + sigma**2 - 1) - sigma.log()).sum(-1))

beta_loss = BetaLoss()
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
            "divided by the number of latent dimensions",
            "kl.sum(1)).mean()",
            "kl.sum(1)).sum() / mu.shape[1]",
            "divided by the number of latent dimensions",
        ),
        (
            "white pixels left out",
            'F.binary_cross_entropy_with_logits(x_logits, x, reduction="none")',
            "((1 - x) * F.softplus(x_logits))",
            "Only black pixels count",
        ),
        ("divided by 1 + beta", ".mean()", ".mean() / (1 + beta)", "divided by 1 + beta"),
        ("a capacity", "beta * kl.sum(1)", "beta * (kl.sum(1) - 25).abs()", "A capacity of 25"),
        (
            "beta for mu alone",
            "beta * kl.sum(1)",
            "kl.sum(1) + (beta - 1) * 0.5 * (mu**2).sum(1)",
            "that has mu in it alone",
        ),
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
            "stands at both terms",
        ),
        ("pixels averaged", "reconstruction.sum(1)", "reconstruction.mean(1)", "a mean over pixels"),
        ("latent dimensions averaged", "kl.sum(1)", "kl.mean(1)", "a mean over latent"),
        (
            "summed over the batch",
            "kl.sum(1)).mean()",
            "kl.sum(1)).sum()",
            "The reconstruction is summed over the batch",
        ),
        ("the KL subtracted", "+ beta", "- beta", "The KL has the wrong sign"),
        ("the ELBO in place of its negative", "return (", "return -(", "minus the log-l"),
        ("beta ignored", "beta * kl", "kl", "makes no difference"),
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
        (
            "everything averaged",
            _RETURN,
            "return reconstruction.mean() + beta * kl.mean()",
            "a mean over pixels",
        ),
        ("the KL averaged over all numbers", "beta * kl.sum(1)", "beta * kl.mean()", "a mean over latent"),
        (
            "784 pixels assumed",
            "reconstruction.sum(1)",
            "784 * reconstruction.mean(1)",
            "784 pixels are hard-coded",
        ),
        ("a batch of 128 assumed", ".mean()", ".sum() / 128", "divided by 128"),
        ("images flattened to 784", ".flatten(1)", ".view(-1, 784)", "RuntimeError"),
        (
            "the KL summed over the batch",
            "beta * kl.sum(1)",
            "beta * kl.sum()",
            "KL is summed over the batch",
        ),
        (
            "the KL divided by the pixels",
            "beta * kl.sum(1)",
            "beta * kl.sum(1) / 84",
            "divided by the number of pixels",
        ),
        (
            "logvar read as log sigma",
            "logvar.exp() - 1 - logvar",
            "(2 * logvar).exp() - 1 - 2 * logvar",
            "read it as log",
        ),
        ("sigma in place of the variance", "logvar.exp()", "(logvar / 2).exp()", "exp(logvar / 2) is sigma"),
        ("the -1 forgotten", " - 1 -", " -", "the term -1 is missing"),
        ("mu not squared", "mu**2", "mu", "enters the KL squared"),
        ("mu forgotten", "mu**2 + ", "", "mu^2 is missing"),
        ("the logarithm added", "1 - logvar", "1 + logvar", "log sigma^2 has the wrong sign"),
        (
            "the KL reversed",
            "0.5 * (mu**2 + logvar.exp() - 1 - logvar)",
            "kl_divergence(Normal(torch.zeros_like(mu), 1.0), Normal(mu, (logvar / 2).exp()))",
            "distributions are swapped",
        ),
        (
            "logits through a sigmoid twice",
            "with_logits(x_logits,",
            "with_logits(x_logits.sigmoid(),",
            "sigmoid twice",
        ),
        (
            "logits taken for probabilities",
            "binary_cross_entropy_with_logits",
            "binary_cross_entropy",
            "RuntimeError",
        ),
        ("images and logits swapped", "with_logits(x_logits, x", "with_logits(x, x_logits", "changed places"),
        (
            "a squared error",
            'F.binary_cross_entropy_with_logits(x_logits, x, reduction="none")',
            "(x_logits.sigmoid() - x).square()",
            "squared error",
        ),
        (
            "a squared error of logits",
            'F.binary_cross_entropy_with_logits(x_logits, x, reduction="none")',
            "(x_logits - x).square()",
            "squared error of the logits",
        ),
        (
            "the reconstruction detached",
            "reconstruction.sum(1)",
            "reconstruction.sum(1).detach()",
            "reaches the logits",
        ),
        ("the KL detached", "beta * kl", "beta * kl.detach()", "reaches mu and logvar"),
        (
            "logvar detached",
            "mu**2 + logvar.exp() - 1 - logvar",
            "mu**2 + logvar.detach().exp() - 1 - logvar.detach()",
            "No gradient reaches logvar",
        ),
        ("mu detached", "mu**2", "mu.detach()**2", "No gradient reaches mu."),
        ("divided by beta", "beta * kl.sum(1)", "kl.sum(1) / beta", "divided by beta"),
        ("beta added", "beta * kl.sum(1)", "kl.sum(1) + beta", "beta is added"),
        ("one beta for all", "beta * kl", "4.0 * kl", "makes no difference"),
        ("mu changed in place", "mu**2", "mu.pow_(2)", "in place"),
        ("logvar changed in place", "- 1 - logvar", "- 1 - logvar.clone() + 0 * logvar.exp_()", "in place"),
        (
            "the three terms returned",
            "return (",
            "return reconstruction.sum(), kl.sum(), (",
            "return the loss alone",
        ),
        (
            "the latent dimensions kept",
            _RETURN,
            "return reconstruction.sum(1).mean() + (beta * kl).mean(0)",
            "one value per dimension",
        ),
    ],
)

# --- 6.3 warm_up ------------------------------------------------------------------------------------

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
        "a sorted middle",
        """
def warm_up(t, share, top, verbose=False):
    slope = top / share
    return sorted([0.0, slope * t, top])[1]
""",
    ),
    Answer(
        "warm_up",
        "an object that is called",
        """
class Schedule:
    def __call__(self, t: float, share: float, top: float) -> np.ndarray:
        return np.array([np.where(t < share, t / share * top, top)])

warm_up = Schedule()
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
        (
            "powers of top",
            "return top * min(1.0, t / share)",
            "return top ** min(1.0, t / share) if t else 0.0",
            "as powers of `top`",
        ),
        (
            "1 after the rise",
            "top * min(1.0, t / share)",
            "top * t / share if t < share else 1.0",
            "After the rise it is 1",
        ),
        (
            "falls again",
            "top * min(1.0, t / share)",
            "top * t / share if t <= share else top * (1 - t) / (1 - share)",
            "it falls again",
        ),
        (
            "top and share exchanged",
            "top * min(1.0, t / share)",
            "share * min(1.0, t / top)",
            "have changed places",
        ),
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
        ("nothing returned", "return", "beta =", "returned None"),
        ("a value for every t", _RISE, f"torch.full((3,), {_RISE})", "return one"),
        ("multiplied by share", "t / share", "t * share", "multiplied by `share`"),
        ("share over t", "t / share", "share / t", "ZeroDivisionError"),
        ("max for min", "min(", "max(", "the smaller of two"),
        ("starts at share", _RISE, "top * max(0.0, (t - share) / (1.0001 - share))", "With share"),
        ("rises after share", _RISE, "top * max(0.0, (t - share) / max(1 - share, 1e-9))", "only after"),
        ("starts again and again", "min(1.0, t / share)", "(t % share) / share", "starts again"),
        ("a square", "min(1.0, t / share)", "min(1.0, t / share) ** 2", "in a curve"),
        ("a root", "min(1.0, t / share)", "min(1.0, t / share) ** 0.5", "in a curve"),
        ("a cosine", _RISE, "top * (1 - math.cos(math.pi * min(1.0, t / share))) / 2", "in a curve"),
        ("a sigmoid", _RISE, "top / (1 + math.exp(-10 * (t / share - 0.5)))", "sigmoid of 10"),
        ("steps of a tenth", "t / share", "round(t / share, 1)", "rounded to 1/10"),
        ("whole numbers", "t / share", "t // share", "jumps"),
        ("does not begin at 0", _RISE, "0.01 + (top - 0.01) * min(1.0, t / share)", "starts at 0.01"),
        ("only for the last line's share", "t / share", "t / 0.5", "not at t = share"),
        ("a share of at least a tenth", "t / share", "t / max(share, 0.1)", "not at t = share"),
        ("only for the last line's top", "top *", "4.0 *", "not to `top`"),
    ],
)

# --- 6.5 mutual_information_gap ---------------------------------------------------------------------

GAP = """
def mutual_information_gap(codes, factors):
    n = len(codes)

    def entropy(p):
        p = p[p > 0]
        return -(p * p.log()).sum()

    def information(a, b):
        joint = torch.zeros(int(a.max()) + 1, int(b.max()) + 1, dtype=torch.double)
        joint.index_put_((a, b), torch.ones(n, dtype=torch.double), accumulate=True)
        p = joint / n
        return entropy(p.sum(1)) + entropy(p.sum(0)) - entropy(p.flatten())

    def shares(values):
        return values.bincount().double() / n

    scores = []
    for v in factors.T:
        known = torch.stack([information(c, v) for c in codes.T])
        ranked = known.sort(descending=True).values
        scores.append((ranked[0] - ranked[1]) / entropy(shares(v)))
    return torch.stack(scores).mean().item()
"""

GAPS = [
    Answer("mutual_information_gap", "a joint histogram and its entropies", GAP),
    Answer(
        "mutual_information_gap",
        "loops and Counter",
        """
from collections import Counter

def mutual_information_gap(codes, factors):
    codes, factors = codes.tolist(), factors.tolist()
    n, scores = len(codes), []
    for k in range(len(factors[0])):
        v = [row[k] for row in factors]
        frequency = Counter(v)
        known = []
        for d in range(len(codes[0])):
            c = [row[d] for row in codes]
            single, pairs = Counter(c), Counter(zip(c, v))
            known.append(0.0)
            for (a, b), m in pairs.items():
                known[-1] += m / n * math.log(m * n / (single[a] * frequency[b]))
        known.sort()
        scores.append((known[-1] - known[-2]) / -sum(m / n * math.log(m / n) for m in frequency.values()))
    return sum(scores) / len(scores)
""",
    ),
    Answer(
        "mutual_information_gap",
        "torch.bincount of pairs, in bits",
        """
def mutual_information_gap(codes, factors):
    def H(x):
        p = torch.bincount(x) / len(x)
        return torch.special.entr(p.double()).sum() / math.log(2)

    size = int(factors.max()) + 1
    I = torch.tensor([[H(c) + H(v) - H(c * size + v) for v in factors.t()] for c in codes.t()])
    top = torch.topk(I, k=2, dim=0).values
    return torch.mean((top[0] - top[1]) / torch.tensor([H(v) for v in factors.t()]))
""",
    ),
    Answer(
        "mutual_information_gap",
        "torch.histc, in float32, with a little added to each probability",
        """
class Gap:
    tiny = 1e-9

    def p(self, x, bins):
        return torch.histc(x.float(), bins=bins, min=0, max=bins - 1) / len(x)

    def __call__(self, codes, factors, progress=True):
        scores = []
        for k in range(factors.size(1)):
            K = int(factors[:, k].max()) + 1
            pv = self.p(factors[:, k], K)
            mi = []
            for d in range(codes.size(1)):
                D = int(codes[:, d].max()) + 1
                joint = self.p(codes[:, d] * K + factors[:, k], D * K).view(D, K)
                outer = self.p(codes[:, d], D)[:, None] * pv[None]
                mi.append((joint * ((joint + self.tiny) / (outer + self.tiny)).log()).sum().item())
            first, second = sorted(mi, reverse=True)[:2]
            scores.append((first - second) / -(pv * (pv + self.tiny).log()).sum().item())
            if progress:
                print(k, scores[-1])
        return np.mean(scores)

mutual_information_gap = Gap()
""",
    ),
    Answer(
        "mutual_information_gap",
        "scikit-learn",
        """
from sklearn.metrics import mutual_info_score

def mutual_information_gap(codes, factors):
    c, v = codes.numpy(), factors.numpy()
    m = np.array([[mutual_info_score(code, factor) for factor in v.T] for code in c.T])
    m = np.sort(m, axis=0)[::-1]
    return float(np.mean((m[0] - m[1]) / [mutual_info_score(x, x) for x in v.T]))
""",
    ),
    Answer(
        "mutual_information_gap",
        "masks of values",
        """
def mutual_information_gap(codes, factors):
    result = 0.0
    for factor in factors.unbind(1):
        masks = torch.stack([factor == value for value in factor.unique()]).double()
        p_v = masks.mean(1)
        mi = []
        for code in codes.unbind(1):
            cells = torch.stack([code == value for value in code.unique()]).double()
            p = cells @ masks.T / len(code)
            mi.append(torch.nan_to_num(p * torch.log(p / torch.outer(cells.mean(1), p_v))).sum())
        best, runner_up = torch.stack(mi).topk(2).values
        result += (best - runner_up) / torch.distributions.Categorical(probs=p_v).entropy()
    return float(result / factors.shape[1])
""",
    ),
]

_SORTED = "known.sort(descending=True).values"
_SHARE = "(ranked[0] - ranked[1]) / entropy(shares(v))"
_LOOP = "[information(c, v) for c in codes.T]"

WRONG_GAPS = [
    Answer(
        "mutual_information_gap",
        "mean gap over mean entropy",
        GAP.replace(_SHARE, "ranked[0] - ranked[1]").replace(
            "torch.stack(scores).mean()",
            "torch.stack(scores).sum() / sum(entropy(shares(v)) for v in factors.T)",
        ),
        "Mean gap over mean entropy",
    ),
    Answer(
        "mutual_information_gap",
        "the largest of all over codes and factors",
        """
def mutual_information_gap(codes, factors):
    def H(x):
        p = torch.bincount(x).double() / len(x)
        return torch.special.entr(p).sum()

    K = int(factors.max()) + 1
    pairs = [(H(c) + H(v) - H(c * K + v), H(v)) for v in factors.T for c in codes.T]
    (second, _), (largest, entropy) = sorted(pairs)[-2:]
    return (largest - second) / entropy
""",
        "best two of all codes and factors",
    ),
    Answer(
        "mutual_information_gap",
        "np.histogram2d with its 10 bins",
        """
def mutual_information_gap(codes, factors):
    def information(a, b):
        p = np.histogram2d(a, b)[0] / len(a)
        outer = p.sum(1, keepdims=True) * p.sum(0)
        return (p[p > 0] * np.log(p[p > 0] / outer[p > 0])).sum()

    scores = []
    for v in factors.numpy().T:
        known = sorted(information(c, v) for c in codes.numpy().T)
        scores.append((known[-1] - known[-2]) / information(v, v))
    return np.mean(scores)
""",
        "10 bins are too few",
    ),
    *edited(
        "mutual_information_gap",
        GAP,
        [
            (
                "the joint entropy",
                "entropy(shares(v))",
                "(entropy(shares(codes[:, known.argmax()])) + entropy(shares(v)) - ranked[0])",
                "divided by the joint entropy",
            ),
            (
                "the codes that know least",
                "ranked[0] - ranked[1]",
                "ranked[-2] - ranked[-1]",
                "the codes that know least",
            ),
            ("the largest gap", "torch.stack(scores).mean()", "torch.stack(scores).max()", "the largest gap"),
            (
                "a thousandth in the logarithms",
                "return entropy(p.sum(1)) + entropy(p.sum(0)) - entropy(p.flatten())",
                "return (p * ((p + 1e-3) / (p.sum(1, True) * p.sum(0) + 1e-3)).log()).sum()",
                "inside the logarithms of the information",
            ),
            (
                "codes viewed, not transposed",
                "codes.T",
                "codes.view(codes.shape[1], -1)",
                "`codes` was reshaped",
            ),
            (
                "factors reshaped, not transposed",
                "factors.T",
                "factors.reshape(factors.shape[1], -1)",
                "`factors` was reshaped",
            ),
            ("both reshaped", ".T", ".reshape(-1, n)", "Reshaping mixes"),
            ("rows in place of columns", "codes.T", "codes", "Your code stopped"),
            ("not normalised", " / entropy(shares(v))", "", "gap is in nats"),
            (
                "normalised by the best code's entropy",
                "entropy(shares(v))",
                "entropy(shares(codes.T[known.argmax()]))",
                "divided by the code's entropy",
            ),
            (
                "normalised by the last code's entropy",
                "entropy(shares(v))",
                "entropy(shares(codes[:, -1]))",
                "divided by the last code's entropy",
            ),
            (
                "normalised by the largest information",
                "entropy(shares(v))",
                "ranked[0]",
                "divided by the mutual information",
            ),
            (
                "normalised by log of the number of values",
                "entropy(shares(v))",
                "math.log(v.max() + 1)",
                "only where all are",
            ),
            ("the mean subtracted", "ranked[1]", "ranked.mean()", "The mean is subtracted"),
            ("the smallest subtracted", "ranked[1]", "ranked[-1]", "The smallest is subtracted"),
            ("the others' mean subtracted", "ranked[1]", "ranked[1:].mean()", "mean of the other codes"),
            ("nothing subtracted", " - ranked[1]", "", "subtract the runner-up"),
            ("unsorted", _SORTED, "known", "first two codes"),
            ("unsorted, from behind", "ranked[0] - ranked[1]", "known[-1] - known[-2]", "last two codes"),
            ("sorted upwards", "(descending=True)", "()", "know least"),
            ("equal values left out", _SORTED, "known.unique().flip(0)", "keep equal values apart"),
            ("the gap turned round", "ranked[0] - ranked[1]", "ranked[1] - ranked[0]", "It is negative"),
            (
                "the entropy's minus forgotten",
                "entropy(shares(v))",
                "(shares(v) * shares(v).log()).sum()",
                "It is negative",
            ),
            ("the gap over factors", "(codes, factors):", "(factors, codes):", "gap is taken over factors"),
            (
                "the gap over factors, as a share of the factor's entropy",
                "    return torch.stack(scores)",
                "    table = torch.stack([torch.stack(LOOP) / entropy(shares(v)) for v in factors.T])\n"
                "    scores = list(table.sort(0).values[-1] - table.sort(0).values[-2])\n"
                "    return torch.stack(scores)".replace("LOOP", _LOOP),
                "gap is taken over factors",
            ),
            (
                "the gap over factors, by the best factor's entropy",
                "    return torch.stack(scores)",
                "    table = torch.stack([torch.stack(LOOP) for v in factors.T])\n"
                "    of = torch.stack([entropy(shares(v)) for v in factors.T])[table.argmax(0)]\n"
                "    scores = list((table.sort(0).values[-1] - table.sort(0).values[-2]) / of)\n"
                "    return torch.stack(scores)".replace("LOOP", _LOOP),
                "gap is taken over factors",
            ),
            ("bits and nats", "entropy(shares(v))", "(entropy(shares(v)) / math.log(2))", "Entropy in bits"),
            (
                "nats and bits",
                "entropy(shares(v))",
                "(entropy(shares(v)) * math.log(2))",
                "information in bits",
            ),
            ("the joint histogram not divided", "p = joint / n", "p = joint", "has to be divided"),
            ("the factor's histogram not divided", ".double() / n", ".double()", "entropy is that of counts"),
            ("the first factor alone", "factors.T:", "factors.T[:1]:", "Only the first factor"),
            (
                "returned inside the loop",
                "    return torch.stack(scores).mean().item()",
                "        return scores[0].item()",
                "Only the first factor",
            ),
            ("the last factor alone", "torch.stack(scores).mean()", "scores[-1]", "Only the last factor"),
            ("summed over factors", ".mean().item()", ".sum().item()", "Summed over factors"),
            ("one score per factor", ".mean().item()", "", "One score per factor"),
            ("0 log 0", "        p = p[p > 0]\n", "", "0 log 0"),
            (
                "0 log 0 in the information alone",
                "return entropy(p.sum(1)) + entropy(p.sum(0)) - entropy(p.flatten())",
                "return (p * (p / (p.sum(1, True) * p.sum(0))).log()).sum()",
                "0 log 0",
            ),
            (
                "0 log 0, also where the entropy is I(v, v)",
                "return entropy(p.sum(1)) + entropy(p.sum(0)) - entropy(p.flatten())",
                "return (p * (p / (p.sum(1, True) * p.sum(0))).log()).sum()\n\n"
                "    def entropy(p):\n        return information(v, v)",
                "0 log 0",
            ),
            ("20 bins assumed", "int(a.max()) + 1, int(b.max()) + 1", "20, 20", "IndexError"),
            (
                "as many bins as there are values",
                "int(a.max()) + 1, int(b.max()) + 1",
                "len(a.unique()), len(b.unique())",
                "IndexError",
            ),
            ("2 factors assumed", "factors.T:", "factors.T[:2]:", "Only the first two factors"),
            ("nothing returned", "return torch.stack", "torch.stack", "returned None"),
            (
                "the codes moved in place",
                "    n = len(codes)",
                "    n = len(codes)\n    codes -= codes.amin(0)",
                "in place",
            ),
            ("a name that is not there", "ranked[0] -", "ranks[0] -", "NameError"),
        ],
    ),
]

# From strangers' answers.
WRONG_LOSSES += edited(
    "beta_loss",
    LOSS,
    [
        ("beta held below 1", "beta *", "min(beta, 1.0) *", "beta is held below 1"),
        ("0 taken for missing", "beta *", "(beta or 1.0) *", "beta = 0 is taken for 1"),
        (
            "a capacity of the batch",
            _RETURN,
            "return reconstruction.sum(1).mean() + beta * (kl.sum(1).mean() - 25).abs()",
            "taken off the KL",
        ),
        (
            "a KL of a sample",
            "0.5 * (mu**2 + logvar.exp() - 1 - logvar)",
            "0.5 * ((mu + (logvar / 2).exp() * torch.randn_like(mu)) ** 2 - 1 - logvar)",
            "no further fault: with beta = 0",
        ),
        ("rows only", "reconstruction.sum(1)", "12 * reconstruction.mean(1)", "down the columns"),
        (
            "images binarised",
            "_logits(x_logits, x,",
            "_logits(x_logits, (x > 0.5).float(),",
            "black and white",
        ),
        (
            "logits clamped",
            "_logits(x_logits, x,",
            "_logits(x_logits.clamp(-20, 20), x,",
            "between -20 and 20",
        ),
        ("a normalised beta", "beta *", "mu.shape[1] / x[0].numel() * beta *", "another convention"),
        ("a normalised beta of 784 pixels", "beta *", "mu.shape[1] / 784 * beta *", "dimensions over 784"),
    ],
)
WRONG_RISES += edited(
    "warm_up",
    RISE,
    [
        ("four stairs", "t / share", "int(4 * t / share) / 4", "cut to 1/4"),
        ("an epsilon of a hundredth", "t / share", "t / (share + 0.01)", "0.01 is added to `share`"),
        (
            "the whole training left out",
            _RISE,
            "top if share == 1 else top * min(1.0, t / share)",
            "from the start",
        ),
        ("a percentage", "t / share", "t / 100 / share", "percentage"),
        ("a constant", _RISE, "2.0", "All its numbers here"),
    ],
)
WRONG_GAPS += edited(
    "mutual_information_gap",
    GAP,
    [
        ("the first two codes alone", "codes.T]", "codes.T[:2]]", "Only the first two codes are looked at"),
        (
            "each code for one factor only",
            "scores = []\n    for v in factors.T:\n"
            "        known = torch.stack([information(c, v) for c in codes.T])",
            "scores, taken = [], []\n    for v in factors.T:\n"
            "        known = torch.stack([information(c, v) for c in codes.T])\n"
            "        known[taken] = 0\n        taken.append(int(known.argmax()))",
            "serve several factors",
        ),
        ("every pair once", "p = joint / n", "p = joint.sign() / joint.sign().sum()", "counts once"),
        ("one added to each pair", "p = joint / n", "p = (joint + 1) / (joint + 1).sum()", "1 is added"),
        ("the third in place of the second", "ranked[1]", "ranked[min(2, len(ranked) - 1)]", "third largest"),
        ("0.5, as in the example", "torch.stack(scores).mean().item()", "0.5", "whatever it is given"),
    ],
)

WRONG_GAPS += edited(
    "mutual_information_gap",
    GAP.replace("entropy(shares(v))", "information(v, v)"),
    [
        ("counts for probabilities", "p = joint / n", "p = joint", "Counts stand where"),
        (
            "a column of its own",
            "ranked = known.sort(descending=True).values",
            "own = len(scores)\n        "
            "ranked = [known[own], torch.cat([known[:own], known[own + 1 :]]).max()]",
            "in the factor's own column",
        ),
    ],
)
WRONG_LOSSES += edited(
    "beta_loss",
    LOSS,
    [
        (
            "the batch's mean posterior",
            "    kl = 0.5",
            "    mu, logvar = mu.mean(0, True), logvar.mean(0, True)\n    kl = 0.5",
            "that of the batch's mean posterior",
        ),
    ],
)
WRONG_LOSSES += edited(
    "beta_loss",
    LOSS,
    [("twice the KL, averaged", "beta * kl.sum(1)", "beta * 2 * kl.mean(1)", "and its 1/2 is missing")],
)
WRONG_RISES += edited(
    "warm_up",
    RISE,
    [
        ("twice as steep as to 1", "t / share", "2 * t if t < share else 1", "times t; top / share is"),
        ("an S-curve", "min(1.0, t / share)", "(u := min(1.0, t / share)) * u * (3 - 2 * u)", "an S-curve"),
    ],
)
WRONG_GAPS += edited(
    "mutual_information_gap",
    GAP,
    [
        (
            "the best so far lost",
            "ranked = known.sort(descending=True).values",
            "ranked = [torch.zeros(()), torch.zeros(())]\n"
            "        for one in known:\n"
            "            place = 0 if one > ranked[0] else 1\n"
            "            ranked[place] = torch.maximum(ranked[place], one)",
            "The best so far is lost",
        ),
        (
            "the geometric mean of both entropies",
            "known = torch.stack([information(c, v)",
            "known = entropy(shares(v)).sqrt() * torch.stack([information(c, v) / entropy(shares(c)).sqrt()",
            "the root of both entropies",
        ),
    ],
)

RIGHT = LOSSES + RISES + GAPS
WRONG = WRONG_LOSSES + WRONG_RISES + WRONG_GAPS
