"""The models of the course as drawings, in the page's own colour.

Data are round, networks narrow towards the code, and dashed brackets join what a term of the loss compares.
"""

import html

MIDDLE, FONT = 105, "font:14px system-ui,sans-serif"
KL, RECONSTRUCTION = "KL(q(z|x) ‖ p(z))", "−log p(x|z)"


class Drawing:
    """An SVG with the text that describes it."""

    def __init__(self, parts: list[str], width: int, height: int, alt: str) -> None:
        self.parts, self.width, self.height, self.alt = parts, width, height, " ".join(alt.split())

    def __repr__(self) -> str:
        return self.alt

    def _repr_html_(self) -> str:
        arrow = (
            '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
            'orient="auto"><path d="M0 0 8 4 0 8Z" fill="currentColor"/></marker>'
        )
        return (
            f'<svg role="img" aria-label="{html.escape(self.alt)}" viewBox="0 0 {self.width} {self.height}" '
            f'style="width:100%;max-width:{self.width}px;{FONT}" fill="none" stroke="currentColor">'
            f"<defs>{arrow}</defs>{''.join(self.parts)}</svg>"
        )


def _text(x: float, y: float, *lines: str, bold: bool = False) -> str:
    """Lines of text, centred on a point."""
    top = y + 5 - 9 * (len(lines) - 1)
    spans = (f'<tspan x="{x}" y="{top + 18 * i}">{html.escape(line)}</tspan>' for i, line in enumerate(lines))
    weight = ' font-weight="600"' if bold else ""
    return f'<text text-anchor="middle" fill="currentColor" stroke="none"{weight}>{"".join(spans)}</text>'


def _data(x: float, y: float, wide: float, *lines: str) -> str:
    """What goes through: rounded, `wide` and centred on a point."""
    high = 14 + 18 * len(lines)
    box = f'<rect x="{x - wide / 2}" y="{y - high / 2}" width="{wide}" height="{high}" rx="12"/>'
    return box + _text(x, y, *lines)


def _network(x: float, left: float, right: float, *lines: str) -> str:
    """Layers, 120 wide from x on, that go from one height to another."""
    corners = f"{x},{MIDDLE - left} {x + 120},{MIDDLE - right} {x + 120},{MIDDLE + right} {x},{MIDDLE + left}"
    shape = f'<polygon points="{corners}" fill="currentColor" fill-opacity="0.08"/>'
    return shape + _text(x + 60, MIDDLE, *lines)


def _arrow(x: float, y: float, to_x: float, to_y: float) -> str:
    return f'<path d="M{x} {y} L{to_x} {to_y}" marker-end="url(#tip)"/>'


def _term(x_from: float, x_to: float, top: float, bottom: float, said: str) -> str:
    """A term of the loss, below what it compares."""
    bracket = f'<path d="M{x_from} {top}V{bottom}H{x_to}V{top}" stroke-dasharray="5 4"/>'
    return bracket + _text((x_from + x_to) / 2, bottom + 16, said, bold=True)


def autoencoder() -> Drawing:
    """An encoder, a code, a decoder, and one term that compares both ends."""
    parts = [
        _data(45, MIDDLE, 70, "x", "784"), _arrow(80, MIDDLE, 112, MIDDLE),
        _network(115, 70, 28, "encoder", "784-256-128"), _arrow(235, MIDDLE, 267, MIDDLE),
        _data(305, MIDDLE, 70, "z", "32"), _arrow(340, MIDDLE, 372, MIDDLE),
        _network(375, 28, 70, "decoder", "128-256-784"), _arrow(495, MIDDLE, 527, MIDDLE),
        _data(565, MIDDLE, 70, "x̂", "784"), _term(45, 565, 132, 200, "mean of (x − x̂)²"),
    ]  # fmt: skip
    alt = (
        "An autoencoder: the image x goes through the encoder, 784-256-128, to a code z of 32 numbers, and "
        "through the decoder, 128-256-784, to the reconstruction. The loss compares both ends."
    )
    return Drawing(parts, 610, 230, alt)


def vae(
    encoder: str = "784-512-256", decoder: str = "256-512-784", d: str = "20", label: str = "", beta: str = ""
) -> Drawing:
    """A VAE; with a `label` a conditional one; `beta` stands in front of its KL term."""
    kl, term = f"{beta} · {KL}" if beta else KL, RECONSTRUCTION
    if label:
        kl, term = kl.replace("|x", f"|x,{label}"), term.replace("|z", f"|z,{label}")
    parts = [
        _data(45, MIDDLE, 70, "x", "784"), _arrow(80, MIDDLE, 112, MIDDLE),
        _network(115, 70, 34, "encoder", *encoder.split("\n")),
        _arrow(235, 90, 277, 75), _arrow(235, 120, 277, 135),
        _data(315, 75, 70, f"μ  {d}"), _data(315, 135, 70, f"log σ²  {d}"),
        _arrow(350, 75, 397, 97), _arrow(350, 135, 397, 113),
        _data(460, 22, 120, "ε ~ N(0, I)"), _arrow(460, 38, 460, 77),
        _data(460, MIDDLE, 120, "z = μ + σ ⊙ ε", d), _arrow(520, MIDDLE, 552, MIDDLE),
        _network(555, 34, 70, "decoder", *decoder.split("\n")), _arrow(675, MIDDLE, 707, MIDDLE),
        _data(745, MIDDLE, 70, "x̂", "784"),
        _term(280, 350, 153, 168, kl), _term(45, 745, 132, 225, term),
    ]  # fmt: skip
    for x in (175, 615) if label else ():
        parts += [_data(x, 22, 60, label), _arrow(x, 38, x, 46)]
    alt = (
        f"A VAE: the image x goes through the encoder, {encoder}, to mu and log sigma squared, {d} of each."
        f" With noise eps they give z, and the decoder, {decoder}, gives the reconstruction."
        + (f" Encoder and decoder are also given the label {label}." if label else "")
        + f" Two terms make the loss: {kl} at mu and log sigma squared, and {term}, which compares both ends."
    )
    return Drawing(parts, 790, 255, alt)
