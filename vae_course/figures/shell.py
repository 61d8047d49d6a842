"""Where a standard normal keeps its mass: a disc in the plane, a thin shell in high dimension."""

import traitlets

from vae_course.figures.base import Figure

DIMENSIONS = (1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 362, 512)

_CSS = """
.vf-shell .vf-plane, .vf-shell .vf-side { flex: 1 1 280px; max-width: none; }
.vf-shell .vf-chart-name { font-size: 13px; color: var(--vf-muted); }
"""


class Shell(Figure, js="shell.js", css=_CSS):
    r"""The radius of a Gaussian ball over a slider for d: density, shares, and 300 draws.

    For :math:`\varepsilon \sim N(0, I_d)` the figure shows the density of
    :math:`r = \|\varepsilon\| / \sqrt d`, the share within 10 % of 1, and the share inside 1/2.
    The picture beside it is true to each draw's radius; its direction is one random angle.

    Args:
        d: Where the slider starts, one of ``DIMENSIONS`` (1 to 512, evenly spaced in log d).

    Raises:
        ValueError: For another ``d``.
    """

    d = traitlets.Int(2).tag(sync=True)
    dimensions = traitlets.List(list(DIMENSIONS)).tag(sync=True)

    def __init__(self, d: int = 2) -> None:
        if d not in DIMENSIONS:
            raise ValueError(f"d must be one of {DIMENSIONS}, got {d}")
        super().__init__(d=d)
