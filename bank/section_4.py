"""Answers to section 4: interpolate, quantile_grid, kl_decomposition."""

from __future__ import annotations

from bank.answers import Answer, edited

# --- 4.1 interpolate --------------------------------------------------------------------------------

WALK = """
def interpolate(z_start, z_end, steps, spherical=False):
    t = torch.linspace(0, 1, steps).view(-1, 1)
    straight = z_start + t * (z_end - z_start)
    cosine = z_start @ z_end / (z_start.norm() * z_end.norm())
    if not spherical or cosine > 0.9999:
        return straight
    omega = torch.acos(cosine)
    arc = torch.sin((1 - t) * omega) * z_start + torch.sin(t * omega) * z_end
    return arc / torch.sin(omega)
"""

WALKS = [
    Answer("interpolate", "vectorised", WALK),
    Answer(
        "interpolate",
        "the angle by atan2, outer products",
        """
def interpolate(z_start, z_end, steps, spherical=False):
    t = torch.arange(steps, dtype=torch.float64, device=z_start.device) / (steps - 1)
    a, b = 1 - t, t
    if spherical:
        u, v = z_start.double(), z_end.double()
        u, v = u / u.norm(), v / v.norm()
        omega = 2 * torch.atan2((u - v).norm(), (u + v).norm())
        if torch.sin(omega).abs() > 1e-7:
            a, b = torch.sin(a * omega) / torch.sin(omega), torch.sin(b * omega) / torch.sin(omega)
    return (torch.outer(a, z_start.double()) + torch.outer(b, z_end.double())).to(z_start.dtype)
""",
    ),
    Answer(
        "interpolate",
        "a loop in NumPy",
        """
def interpolate(z_start, z_end, steps, spherical=False):
    a, b = z_start.numpy(), z_end.numpy()
    omega = np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1))
    points = []
    for step in range(steps):
        t = step / (steps - 1)
        if not spherical or np.sin(omega) < 1e-3:
            point = (1 - t) * a + t * b
        else:
            point = (np.sin((1 - t) * omega) * a + np.sin(t * omega) * b) / np.sin(omega)
        points.append(point)
    return torch.from_numpy(np.stack(points))
""",
    ),
    Answer(
        "interpolate",
        "the cosine clamped a little inside of 1",
        """
def interpolate(z_start, z_end, steps, spherical=False):
    t = torch.linspace(0, 1, steps)[:, None]
    if not spherical:
        return torch.lerp(z_start, z_end, t)
    omega = F.cosine_similarity(z_start, z_end, dim=0).clamp(-1 + 1e-7, 1 - 1e-7).acos()
    return (((1 - t) * omega).sin() * z_start + (t * omega).sin() * z_end) / omega.sin()
""",
    ),
]

_T = "torch.linspace(0, 1, steps)"

WRONG_WALKS = [
    *edited(
        "interpolate",
        WALK,
        [
            (
                "the length a geometric mean",
                "return arc / torch.sin(omega)",
                "a, b = z_start.norm(), z_end.norm()\n"
                "    arc = torch.sin((1 - t) * omega) * z_start / a + torch.sin(t * omega) * z_end / b\n"
                "    return arc / torch.sin(omega) * a ** (1 - t) * b**t",
                "geometric mean",
            ),
            ("the cosine above 0", "torch.acos(cosine)", "torch.acos(cosine.clamp(min=0))", "held above 0"),
            (
                "the angle outside the sine",
                "torch.sin((1 - t) * omega) * z_start + torch.sin(t * omega) * z_end",
                "omega * (torch.sin(1 - t) * z_start + torch.sin(t) * z_end)",
                "outside the sine",
            ),
            (
                "the line where the cosine is beyond 0.95 on either side",
                "cosine > 0.9999",
                "cosine.abs() > 0.95",
                "so near to pi, it is the line",
            ),
            ("division by sin(0)", " or cosine > 0.9999", "", "NaN"),
            ("from the end to the start", _T, "torch.linspace(1, 0, steps)", "runs from z_end"),
            ("spherical ignored", "not spherical or cosine > 0.9999", "True", "is `spherical` used"),
            ("always the arc", "not spherical or ", "", "without spherical=True the walk is straight"),
            (
                "the arc unless asked otherwise",
                "spherical=False",
                "spherical=True",
                "without spherical=True the walk is straight",
            ),
            ("always ten steps", _T, "torch.linspace(0, 1, 10)", "always takes ten steps"),
            ("the end left out", _T, "torch.linspace(0, 1, steps + 1)[:-1]", "end point is left out"),
            ("the start left out", _T, "torch.linspace(0, 1, steps + 1)[1:]", "start is left out"),
            ("both ends left out", _T, "torch.linspace(0, 1, steps + 2)[1:-1]", "Both end points"),
            ("steps counted between points", _T, "torch.linspace(0, 1, steps + 1)", "one row too many"),
            (
                "ends brought to length 1",
                "omega = torch.acos(cosine)",
                "omega = torch.acos(cosine)\n"
                "    z_start, z_end = F.normalize(z_start, dim=0), F.normalize(z_end, dim=0)",
                "length 1",
            ),
            (
                "direction and length apart",
                "arc = torch.sin((1 - t) * omega) * z_start + torch.sin(t * omega) * z_end",
                "arc = torch.sin((1 - t) * omega) * F.normalize(z_start, dim=0)\n"
                "    arc = arc + torch.sin(t * omega) * F.normalize(z_end, dim=0)\n"
                "    arc = arc * ((1 - t) * z_start.norm() + t * z_end.norm())",
                "interpolated apart",
            ),
            ("not divided by the sine", "arc / torch.sin(omega)", "arc", "not divided"),
            (
                "the straight line brought to the length of the ends",
                "return arc / torch.sin(omega)",
                "lengths = (1 - t) * z_start.norm() + t * z_end.norm()\n"
                "    return F.normalize(straight, dim=1) * lengths",
                "brought to another length",
            ),
            (
                "the straight line brought to length 1",
                "return arc / torch.sin(omega)",
                "return F.normalize(straight, dim=1)",
                "brought to length 1",
            ),
            (
                "a cosine without the lengths",
                " / (z_start.norm() * z_end.norm())",
                "",
                "divided by both lengths",
            ),
            (
                "a cosine without the lengths, clamped",
                " / (z_start.norm() * z_end.norm())\n    if not spherical or cosine",
                "\n    if not spherical or abs(cosine)",
                "divided by both lengths",
            ),
            (
                "the difference in place",
                "straight = z_start + t * (z_end - z_start)",
                "straight = z_start + t * z_end.sub_(z_start)\n    z_end = z_end + z_start",
                "given in place",
            ),
            ("nothing returned for the arc", "return arc", "arc = arc", "returned None"),
            (
                "a list of points for the arc",
                "return arc / torch.sin(omega)",
                "return list(arc / torch.sin(omega))",
                "It returned a list",
            ),
            ("a dimension lost", ".view(-1, 1)", "", "Your code stopped"),
            (
                "the line below 0.2 radians",
                "cosine > 0.9999",
                "cosine > 0.9801",
                "For angles up to 0.19 radians",
            ),
            ("divided by omega", "arc / torch.sin(omega)", "arc / omega", "divided by omega"),
            (
                "the cosine clamped at 0.99",
                "(cosine)\n    arc",
                "(cosine.clamp(-0.99, 0.99))\n    arc",
                "below 0.99",
            ),
            (
                "a longer last step",
                _T,
                "torch.cat([torch.arange(steps - 1) / steps, torch.ones(1)])",
                "last step is longer",
            ),
            (
                "slow ends",
                ".view(-1, 1)",
                ".view(-1, 1)\n    t = t * t * (3 - 2 * t)",
                "begin and end slowly",
            ),
            (
                "the end turned round beyond a right angle",
                "    omega =",
                "    if cosine < 0:\n        cosine, z_end = -cosine, -z_end\n    omega =",
                "has changed its sign",
            ),
            (
                "the start where the ends are parallel",
                "return straight",
                "return z_start.expand(steps, -1) if spherical else straight",
                "stays at z_start",
            ),
            (
                "backwards where it is straight",
                "return straight",
                "return straight.flip(0)",
                "runs from z_end",
            ),
        ],
    ),
    Answer(
        "interpolate",
        "one column per step",
        WALK.replace("return straight", "return straight.T").replace(
            "return arc / torch.sin(omega)", "return (arc / torch.sin(omega)).T"
        ),
        "axes have changed places",
    ),
]

# --- 4.2 quantile_grid ------------------------------------------------------------------------------

GRID = """
def quantile_grid(n):
    c = torch.special.ndtri((torch.arange(n) + 0.5) / n)
    return torch.tensor([(z1, z2) for z2 in c for z1 in c])
"""

GRIDS = [
    Answer("quantile_grid", "a comprehension", GRID),
    Answer(
        "quantile_grid",
        "statistics.NormalDist and two loops",
        """
from statistics import NormalDist

def quantile_grid(n):
    coordinates = [NormalDist().inv_cdf((i + 0.5) / n) for i in range(n)]
    points = []
    for i in range(n):
        for j in range(n):
            points.append((coordinates[j], coordinates[i]))
    return torch.tensor(points)
""",
    ),
    Answer(
        "quantile_grid",
        "erfinv and np.meshgrid",
        """
def quantile_grid(n):
    c = math.sqrt(2) * torch.erfinv(2 * torch.linspace(0.5 / n, 1 - 0.5 / n, n) - 1)
    z1, z2 = np.meshgrid(c, c)
    return torch.from_numpy(np.stack([z1.ravel(), z2.ravel()], axis=1))
""",
    ),
    Answer(
        "quantile_grid",
        "torch.distributions and an index of every point",
        """
def quantile_grid(n):
    c = Normal(0.0, 1.0).icdf((torch.arange(n) + 0.5) / n)
    k = torch.arange(n * n)
    return torch.stack([c[k % n], c[k // n]], dim=1)
""",
    ),
]

_C = "torch.special.ndtri((torch.arange(n) + 0.5) / n)"
_POINTS = "torch.tensor([(z1, z2) for z2 in c for z1 in c])"

WRONG_GRIDS = edited(
    "quantile_grid",
    GRID,
    [
        (
            "logistic quantiles",
            "torch.special.ndtri((torch.arange(n) + 0.5) / n)",
            "torch.logit((torch.arange(n) + 0.5) / n)",
            "logistic",
        ),
        ("z2 changes fastest", "(z1, z2) for", "(z2, z1) for", "swapped"),
        ("rows from the top", "for z2 in c", "for z2 in c.flip(0)", "run from the top"),
        ("a square of points", _POINTS, f"{_POINTS}.view(n, n, 2)", "shape of its own"),
        ("a list of points", _POINTS, f"{_POINTS}.tolist()", "It returned a list; return one tensor."),
        ("points as columns", _POINTS, f"{_POINTS}.T", "columns"),
        ("z1 falls along a row", "for z1 in c]", "for z1 in c.flip(0)]", "z1 falls along a row"),
        (
            "two layers",
            _POINTS,
            "torch.stack(torch.meshgrid(c, c, indexing='xy'))",
            "in two layers",
        ),
        (
            "reshaped where a transpose was needed",
            _POINTS,
            "torch.stack(torch.meshgrid(c, c, indexing='xy')).view(-1, 2)",
            "torn apart",
        ),
        (
            "the axes of meshgrid as they come, and reshaped",
            _POINTS,
            "torch.stack(torch.meshgrid(c, c, indexing='ij')).view(-1, 2)",
            "torn apart",
        ),
        (
            "a grid of one point divides by 0",
            "(torch.arange(n) + 0.5) / n",
            "torch.tensor([0.5 / n + i * (1 - 1 / n) / (n - 1) for i in range(n)])",
            "ZeroDivisionError",
        ),
        (
            "odd sizes alone",
            "torch.arange(n)",
            "torch.arange(-(n // 2), n // 2 + 1) + n // 2",
            "It has shape",
        ),
        ("five coordinates whatever is asked", "c =", "n = 5\n    c =", "it has 5 different coordinates"),
        ("the coordinates alone", _POINTS, "c", "n coordinates"),
        ("the diagonal alone", _POINTS, "torch.stack([c, c], dim=1)", "diagonal"),
        ("equal spaces from -3 to 3", _C, "torch.linspace(-3, 3, n)", "equally spaced"),
        ("quantiles of 0 and 1", _C, "torch.special.ndtri(torch.linspace(0, 1, n))", "0 or 1"),
        ("probabilities in place of quantiles", _C, "(torch.arange(n) + 0.5) / n", "These are the prob"),
        ("the CDF in place of its inverse", "ndtri", "ndtr", "inverse is"),
        (
            "erfinv without its factor",
            _C,
            "torch.erfinv(2 * (torch.arange(n) + 0.5) / n - 1)",
            "sqrt(2)",
        ),
        ("probabilities (i + 1) / (n + 1)", "+ 0.5) / n", "+ 1) / (n + 1)", "of your coordinates run from"),
        (
            "probabilities from 0.05",
            _C,
            "torch.special.ndtri(torch.linspace(0.05, 0.95, n))",
            "run from 0.05",
        ),
        (
            "probabilities from 0.01",
            _C,
            "torch.special.ndtri(torch.linspace(0.01, 0.99, n))",
            "run from 0.01",
        ),
        ("quantiles of N(0, 3^2)", "c = ", "c = 3 * ", "quantiles of N(0, 3^2)"),
        ("rounded", _C, f"{_C}.mul(100).round() / 100", "rounded to two digits"),
        ("both run down", "c = ", "c = -", "both should grow"),
        ("pairs without order", _POINTS, "torch.combinations(c, with_replacement=True)", "stands there once"),
        (
            "probabilities i / n, kept away from 0",
            "(torch.arange(n) + 0.5) / n",
            "(torch.arange(n) / n).clamp(min=1e-3)",
            "run from 0.001",
        ),
        (
            "probabilities of a curve",
            "(torch.arange(n) + 0.5) / n",
            "torch.linspace(0.2, 0.9, n) ** 2",
            "run from 0.040",
        ),
        ("probabilities from 0", "+ 0.5) / n", "+ 0.0) / n", "Probability 0 has no finite"),
        ("nothing returned", "return", "points =", "returned None"),
        ("a name that does not exist", "ndtri", "ppf", "AttributeError"),
    ],
)

# --- 4.4 kl_decomposition ---------------------------------------------------------------------------

PARTS = """
def kl_decomposition(z, mu, logvar):
    def log_normal(z, mu, logvar):
        return (-0.5 * ((z - mu) ** 2 / logvar.exp() + logvar + math.log(2 * math.pi))).sum(-1)

    zero = torch.zeros_like(mu)
    own = log_normal(z, mu, logvar)
    pairs = log_normal(z.unsqueeze(1), mu, logvar)
    aggregate = torch.logsumexp(pairs, dim=1) - math.log(len(z))
    prior = log_normal(z, zero, zero)
    return (own - aggregate).mean(), (aggregate - prior).mean()
"""

ALL_PARTS = [
    Answer("kl_decomposition", "vectorised", PARTS),
    Answer(
        "kl_decomposition",
        "the package's density, the diagonal for n's own",
        """
def kl_decomposition(z, mu, logvar):
    pairs = objectives.gaussian_log_density(z[:, None], mu[None], logvar[None])
    log_q = pairs.logsumexp(1) - torch.tensor(float(len(z))).log()
    log_p = Normal(0.0, 1.0).log_prob(z).sum(1)
    return pairs.diagonal().mean() - log_q.mean(), log_q.mean() - log_p.mean()
""",
    ),
    Answer(
        "kl_decomposition",
        "a cross-entropy: which image does the code belong to?",
        """
def kl_decomposition(z, mu, logvar):
    n, d = z.shape
    sigma = (logvar / 2).exp().unsqueeze(0)
    pairs = -(((z.unsqueeze(1) - mu.unsqueeze(0)) / sigma) ** 2).sum(2) / 2 - sigma.log().sum(2)
    information = math.log(n) - F.cross_entropy(pairs, torch.arange(n))
    whole = (pairs.diag() + (z**2).sum(1) / 2).mean()
    return information.item(), (whole - information).item()
""",
    ),
    Answer(
        "kl_decomposition",
        "torch.distributions, MixtureSameFamily",
        """
from torch.distributions import Categorical, Independent, MixtureSameFamily

def kl_decomposition(z, mu, logvar):
    q = Independent(Normal(mu, torch.exp(logvar / 2)), 1)
    p = Independent(Normal(torch.zeros(z.shape[1]), torch.ones(z.shape[1])), 1)
    aggregate = MixtureSameFamily(Categorical(torch.ones(len(z))), q).log_prob(z)
    information = torch.mean(q.log_prob(z) - aggregate)
    return information, torch.mean(aggregate - p.log_prob(z))
""",
    ),
    Answer(
        "kl_decomposition",
        "two loops in float64, plain numbers returned",
        """
def kl_decomposition(z, mu, logvar):
    z, mu, sigma = z.double().numpy(), mu.double().numpy(), np.exp(logvar.double().numpy() / 2)

    def log_density(x, mean, deviation):
        return np.sum(-0.5 * ((x - mean) / deviation) ** 2 - np.log(deviation * np.sqrt(2 * np.pi)))

    information, marginal = 0.0, 0.0
    for n in range(len(z)):
        logs = [log_density(z[n], mu[m], sigma[m]) for m in range(len(z))]
        largest = max(logs)
        aggregate = largest + np.log(np.mean(np.exp(np.array(logs) - largest)))
        information += (logs[n] - aggregate) / len(z)
        marginal += (aggregate - log_density(z[n], 0.0, 1.0)) / len(z)
    return information, marginal
""",
    ),
    Answer(
        "kl_decomposition",
        "the constant left out of every density, one tensor of two returned",
        """
def kl_decomposition(z, mu, logvar):
    rows = []
    for code in z:
        rows.append(-0.5 * ((code - mu).square() * (-logvar).exp() + logvar).sum(dim=1))
    pairs = torch.stack(rows)
    log_q = (pairs.softmax(1).diagonal().log() - pairs.diagonal()).neg() - np.log(len(z))
    information = (pairs.diag() - log_q).mean()
    return torch.stack([information, log_q.mean() + 0.5 * z.square().sum(1).mean()])
""",
    ),
]

_AGGREGATE = "torch.logsumexp(pairs, dim=1) - math.log(len(z))"
_RESULT = "(own - aggregate).mean(), (aggregate - prior).mean()"
_SUM = "(-0.5 * ((z - mu) ** 2 / logvar.exp() + logvar + math.log(2 * math.pi))).sum(-1)"

WRONG_PARTS = edited(
    "kl_decomposition",
    PARTS,
    [
        (
            "the first 64 posteriors",
            "torch.logsumexp(pairs, dim=1) - math.log(len(z))",
            "torch.logsumexp(pairs[:, :64], dim=1) - math.log(min(len(z), 64))",
            "Only the first 64 posteriors",
        ),
        (
            "one Gaussian with the mean variance",
            "torch.logsumexp(pairs, dim=1) - math.log(len(z))",
            "log_normal(z, mu.mean(0), logvar.exp().mean(0).log())",
            "mean variance",
        ),
        (
            "logvar halved in q(z)",
            "log_normal(z.unsqueeze(1), mu, logvar)",
            "log_normal(z.unsqueeze(1), mu, logvar / 2)",
            "logvar is halved",
        ),
        (
            "100 posteriors at most",
            "torch.logsumexp(pairs, dim=1) - math.log(len(z))",
            "torch.logsumexp(pairs[:, :100], dim=1) - math.log(min(100, len(z)))",
            "first 100",
        ),
        (
            "one maximum for all codes",
            "torch.logsumexp(pairs, dim=1)",
            "(pairs - pairs.max()).exp().sum(1).log() + pairs.max()",
            "use torch.logsumexp",
        ),
        (
            "the whole KL for its second part",
            "(aggregate - prior).mean()",
            "(0.5 * (mu**2 + logvar.exp() - 1 - logvar)).sum(1).mean()",
            "closed form of the whole KL, of which",
        ),
        (
            "what is left of the closed form",
            "(aggregate - prior).mean()",
            "(0.5 * (mu**2 + logvar.exp() - 1 - logvar)).sum(1).mean() - (own - aggregate).mean()",
            "no further fault: both stay right in 150 dimensions",
        ),
        ("log N missing", " - math.log(len(z))", "", "log N is missing"),
        ("a prior of logvar 1", "zero, zero)", "zero, zero + 1)", "is that of logvar = 1"),
        (
            "the closed form of the KL",
            "(own - aggregate).mean()",
            "(0.5 * (mu**2 + logvar.exp() - 1 - logvar)).sum(1).mean()",
            "closed form of the whole KL",
        ),
        ("log N added", "- math.log(len(z))", "+ math.log(len(z))", "log N is subtracted"),
        ("the log of the dimensions in place of log N", "math.log(len(z))", "math.log(z.shape[1])", "log d"),
        ("a mean of logs", _AGGREGATE, "pairs.mean(1)", "logs are averaged"),
        ("logs weighted by a softmax", _AGGREGATE, "(pairs.softmax(1) * pairs).sum(1)", "softmax"),
        ("the log of a softmax", _AGGREGATE, "pairs.log_softmax(1).diagonal()", "softmax"),
        ("the nearest posterior alone", _AGGREGATE, "pairs.amax(1)", "Only the largest"),
        (
            "the nearest posterior alone, as one of N",
            "torch.logsumexp(pairs, dim=1)",
            "pairs.amax(1)",
            "Only the largest",
        ),
        ("the prior for q(z)", _AGGREGATE, "log_normal(z, zero, zero)", "The prior stands where q(z)"),
        (
            "n's own posterior left out",
            _AGGREGATE,
            "pairs.fill_diagonal_(-torch.inf).logsumexp(1) - math.log(len(z) - 1 or 1)",
            "leave none out",
        ),
        (
            "n's own posterior left out, and counted",
            "torch.logsumexp(pairs, dim=1)",
            "pairs.fill_diagonal_(-torch.inf).logsumexp(1)",
            "leave none out",
        ),
        ("the sum over codes", "dim=1) - math", "dim=0) - math", "wrong axis"),
        (
            "codes and posteriors broadcast the other way",
            "z.unsqueeze(1), mu, logvar",
            "z, mu.unsqueeze(1), logvar.unsqueeze(1)",
            "wrong axis",
        ),
        (
            "no pairs: each code meets its own posterior",
            "z.unsqueeze(1), mu, logvar",
            "z, mu, logvar",
            "Your code stopped",
        ),
        (
            "exp underflows",
            "torch.logsumexp(pairs, dim=1)",
            "pairs.exp().sum(1).log()",
            "use torch.logsumexp",
        ),
        (
            "a small constant in the log",
            "torch.logsumexp(pairs, dim=1)",
            "(pairs.exp().sum(1) + 1e-12).log()",
            "no small constant",
        ),
        ("dimensions averaged", ".sum(-1)", ".mean(-1)", "Averaged over dimensions"),
        ("dimensions not summed", ".sum(-1)", "", "The dimensions are kept apart"),
        (
            "an aggregate for each dimension",
            _AGGREGATE,
            "(-0.5 * ((z[:, None] - mu) ** 2 / logvar.exp() + logvar + math.log(2 * math.pi)))"
            ".logsumexp(1).sum(1) - z.shape[1] * math.log(len(z))",
            "aggregate of its own",
        ),
        (
            "view where a transpose was needed",
            _AGGREGATE,
            "(-0.5 * ((z[:, None] - mu) ** 2 / logvar.exp() + logvar + math.log(2 * math.pi)))"
            ".view(z.shape[1], len(z), len(z)).sum(0).logsumexp(1) - math.log(len(z))",
            "do not swap axes",
        ),
        (
            "sigma = exp(logvar)",
            "logvar.exp() + logvar +",
            "(2 * logvar).exp() + 2 * logvar +",
            "sigma is exp(logvar)",
        ),
        (
            "logvar read as log sigma in the square alone",
            "logvar.exp()",
            "(2 * logvar).exp()",
            "divide by sigma^2",
        ),
        ("a square over sigma", "logvar.exp()", "(logvar / 2).exp()", "divide by sigma^2"),
        (
            "variance = exp(logvar / 2)",
            "logvar.exp() + logvar +",
            "(logvar / 2).exp() + logvar / 2 +",
            "variance is exp(logvar / 2)",
        ),
        ("no normalisation", " + logvar +", " +", "lack their normalisation"),
        ("no half", "-0.5 * (", "-1.0 * (", "1/2"),
        (
            "no 2 pi in the prior",
            "prior = log_normal(z, zero, zero)",
            "prior = -0.5 * (z**2).sum(1)",
            "log p(z) lacks",
        ),
        (
            "results swapped",
            _RESULT,
            "(aggregate - prior).mean(), (own - aggregate).mean()",
            "the other of the two results",
        ),
        (
            "signs turned",
            _RESULT,
            "(aggregate - own).mean(), (prior - aggregate).mean()",
            "The sign is turned",
        ),
        (
            "summed over images",
            _RESULT,
            "(own - aggregate).sum(), (aggregate - prior).sum()",
            "Summed over images",
        ),
        ("one value per image", _RESULT, "own - aggregate, aggregate - prior", "numbers per image"),
        (
            "the KL and its marginal part",
            _RESULT,
            "(own - prior).mean(), (aggregate - prior).mean()",
            "whole KL",
        ),
        (
            "the rest of the closed form",
            _RESULT,
            "(own - aggregate).mean(), objectives.gaussian_kl(mu, logvar).sum(1).mean()"
            " - (own - aggregate).mean()",
            "closed form",
        ),
        (
            "densities at the means",
            "zero = torch.zeros_like(mu)",
            "zero, z = torch.zeros_like(mu), mu",
            "those of the means",
        ),
        (
            "bits",
            _RESULT,
            "(own - aggregate).mean() / math.log(2), (aggregate - prior).mean() / math.log(2)",
            "bits",
        ),
        ("the sum alone", _RESULT, "(own - prior).mean()", "Two numbers are asked for"),
        (
            "one Gaussian for the aggregate",
            _AGGREGATE,
            "log_normal(z, mu.mean(0), (logvar.exp().mean(0) + mu.var(0, unbiased=False)).log())",
            "One Gaussian stands for",
        ),
        ("no table", _AGGREGATE, "torch.logsumexp(own, dim=0) - math.log(len(z))", "its own posterior only"),
        ("the prior at the means", "log_normal(z, zero, zero)", "log_normal(mu, zero, zero)", "taken at mu"),
        ("never below 0", _RESULT, _RESULT.replace("mean()", "mean().clamp(min=0)"), "have become 0"),
        (
            "the data set counted as well",
            "- math.log(len(z))",
            "- math.log(len(z) * 60000)",
            "log 60000 is subtracted",
        ),
        (
            "own draws",
            "zero = torch",
            "z = mu + (logvar / 2).exp() * torch.randn_like(mu)\n    zero = torch",
            "does it draw",
        ),
        (
            "z changed in place",
            "return (own - aggregate)",
            "z -= mu\n    return (own - aggregate)",
            "given in place",
        ),
        ("nothing returned", "return (own - aggregate)", "parts = (own - aggregate)", "returned None"),
    ],
)

RIGHT = WALKS + GRIDS + ALL_PARTS
WRONG_WALKS += [
    Answer(
        "interpolate",
        "the line wherever the angle is acute",
        WALK.replace("if not spherical", "if not spherical or z_start @ z_end > 0"),
        "For angles up to 1.3 radians",
    )
]
WRONG_WALKS += edited(
    "interpolate",
    WALK,
    [
        ("always a right angle", "torch.acos(cosine)", "0 * cosine + math.pi / 2", "always a right one"),
        ("acos forgotten", "torch.acos(cosine)", "cosine", "take its acos"),
        (
            "the sine by a cosine not squared",
            "arc / torch.sin(omega)",
            "arc / (1 - cosine).sqrt()",
            "the cosine squared",
        ),
        (
            "the length of the start everywhere",
            "t * omega) * z_end",
            "t * omega) * z_end / z_end.norm() * z_start.norm()",
            "have the length of z_start",
        ),
        (
            "eased by a cosine",
            "torch.linspace(0, 1, steps).view(-1, 1)",
            "(1 - torch.cos(math.pi * torch.linspace(0, 1, steps).view(-1, 1))) / 2",
            "as a cosine does",
        ),
    ],
)
_AGGREGATE = "torch.logsumexp(pairs, dim=1) - math.log(len(z))"
WRONG_PARTS += edited(
    "kl_decomposition",
    PARTS,
    [
        (
            "one's own logvar with all means",
            "mu, logvar)\n    aggregate",
            "mu, logvar[:, None])\n    aggregate",
            "its own image's logvar",
        ),
        (
            "one's own mean with all logvars",
            "mu, logvar)\n    aggregate",
            "mu[:, None], logvar)\n    aggregate",
            "its own image's mean",
        ),
        ("the largest for one's own", "(own -", "(pairs.amax(1) -", "largest density stands for"),
        ("log q(z) clamped", _AGGREGATE, f"({_AGGREGATE}).clamp(min=-20)", "held above -20"),
        (
            "a Gaussian fitted to the codes",
            _AGGREGATE,
            "log_normal(z, z.mean(0), z.var(0, correction=0).log())",
            "One Gaussian fitted to the codes",
        ),
    ],
)

WRONG = WRONG_WALKS + WRONG_GRIDS + WRONG_PARTS
