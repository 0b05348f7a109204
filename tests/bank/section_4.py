"""Answers to section 4: interpolate, quantile_grid."""

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
        "a loop in NumPy, a list returned",
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
        points.append(torch.tensor(point))
    return points
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
            ("division by sin(0)", " or cosine > 0.9999", "", "NaN"),
            ("from the end to the start", _T, "torch.linspace(1, 0, steps)", "runs from z_end"),
            ("spherical ignored", "not spherical or cosine > 0.9999", "True", "straight line, not the arc"),
            ("always the arc", "not spherical or ", "", "with spherical=False the walk is straight"),
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
            ("nothing returned for the arc", "return arc", "arc = arc", "returned None"),
            ("a dimension lost", ".view(-1, 1)", "", "Your code stopped"),
        ],
    ),
    Answer(
        "interpolate",
        "one column per step",
        WALK.replace("return straight", "return straight.T").replace(
            "return arc / torch.sin(omega)", "return (arc / torch.sin(omega)).T"
        ),
        "axes are swapped",
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
        "statistics.NormalDist and two loops, a list returned",
        """
from statistics import NormalDist

def quantile_grid(n):
    coordinates = [NormalDist().inv_cdf((i + 0.5) / n) for i in range(n)]
    points = []
    for i in range(n):
        for j in range(n):
            points.append((coordinates[j], coordinates[i]))
    return points
""",
    ),
    Answer(
        "quantile_grid",
        "erfinv and np.meshgrid",
        """
def quantile_grid(n):
    c = math.sqrt(2) * torch.erfinv(2 * torch.linspace(0.5 / n, 1 - 0.5 / n, n) - 1)
    z1, z2 = np.meshgrid(c, c)
    return np.stack([z1.ravel(), z2.ravel()], axis=1)
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
        ("z2 changes fastest", "(z1, z2) for", "(z2, z1) for", "swapped"),
        ("rows from the top", "for z2 in c", "for z2 in c.flip(0)", "run from the top"),
        ("a square of points", _POINTS, f"{_POINTS}.view(n, n, 2)", "shape of its own"),
        ("points as columns", _POINTS, f"{_POINTS}.T", "columns"),
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
        ("probabilities (i + 1) / (n + 1)", "+ 0.5) / n", "+ 1) / (n + 1)", "(n + 1)"),
        ("probabilities from 0.05", _C, "torch.special.ndtri(torch.linspace(0.05, 0.95, n))", "0.05"),
        ("probabilities from 0.01", _C, "torch.special.ndtri(torch.linspace(0.01, 0.99, n))", "0.01"),
        ("nothing returned", "return", "points =", "returned None"),
        ("a name that does not exist", "ndtri", "ppf", "AttributeError"),
    ],
)

RIGHT = WALKS + GRIDS
WRONG = WRONG_WALKS + WRONG_GRIDS
