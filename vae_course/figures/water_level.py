"""Reverse water-filling: a spectrum, the water at β/2, and its rate and distortion."""

import math
from collections.abc import Mapping

import traitlets
from jaxtyping import Float
from torch import Tensor

from vae_course.figures.base import Figure

_CSS = """
.vf-water .vf-plane, .vf-water .vf-side { flex: 1 1 290px; max-width: none; }
.vf-water .vf-bars { touch-action: manipulation; cursor: ns-resize; }
.vf-water .vf-controls { display: grid; gap: .5rem 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(230px, 1fr)); }
.vf-water .vf-grip { position: absolute; right: 0; width: 44px; height: 44px; margin-top: -22px;
  cursor: ns-resize; touch-action: none; }
.vf-water .vf-grip::before { content: ""; position: absolute; right: 4px; top: 12px; width: 20px;
  height: 20px; border-radius: 50%; background: var(--vf-accent);
  border: 2px solid var(--vf-paper); }
.vf-water .vf-readout { min-height: 3em; }
"""


class WaterLevel(Figure, js="water_level.js", css=_CSS):
    r"""The spectrum of the data as bars, with water up to β/2 that the reader raises and lowers.

    .. math:: \sigma_j^2 = \min\!\Big(1, \frac{\beta/2}{\lambda_j}\Big), \qquad
              R = \sum_j \tfrac12 \log \max\!\Big(1, \frac{\lambda_j}{\beta/2}\Big), \qquad
              D = \sum_j \min(\lambda_j, \beta/2)

    as in ``distortion.reverse_water_filling``. With plain heights the bars' part under water is D;
    with logarithmic heights their part above it is 2R, in nats. Beside the bars runs the curve
    R(D), with the point of the level and its tangent, of slope -1/β.

    After the reader's last touch the trait ``beta`` holds the price she chose; setting it from
    Python moves the figure.

    Args:
        spectrum: Variances of the principal axes, (n,) in any order, positive and finite; at most
            64 of them, and at most a factor of 10⁶ apart.
        beta: Where the water starts, 2 × level; default: 0.4 of the largest variance. From the
            least of λ_min, λ_max / 10 and the trained prices, but λ_max / 1000 or more, to 2.5
            λ_max.
        trained: What models reached, ``{beta: (rate in nats, distortion)}``: drawn beside the
            curve.
        rest: Variance of the axes that are left out, not negative: it is added to D at every level.

    Raises:
        ValueError: For a value outside its range.
    """

    spectrum = traitlets.List(traitlets.Float()).tag(sync=True)
    beta = traitlets.Float().tag(sync=True)
    # [beta, rate, distortion] of each trained model
    trained = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    rest = traitlets.Float(0.0).tag(sync=True)

    def __init__(
        self,
        spectrum: Float[Tensor, "n"],
        beta: float | None = None,
        *,
        trained: Mapping[float, tuple[float, float]] | None = None,
        rest: float = 0.0,
    ) -> None:
        if spectrum.ndim != 1 or not 1 <= len(spectrum) <= 64:
            raise ValueError(
                f"spectrum must be (n,) with n from 1 to 64, got {tuple(spectrum.shape)}"
            )
        values = sorted(spectrum.detach().double().tolist(), reverse=True)
        largest, smallest = values[0], values[-1]
        if not (0 < smallest and largest < math.inf and largest <= 1e6 * smallest):
            raise ValueError(
                "spectrum must be positive, finite and at most a factor of 1e6 apart, got "
                f"{smallest:g} to {largest:g}; leave out axes without variance"
            )
        if not 0 <= rest < math.inf:
            raise ValueError(f"rest must be finite and not negative, got {rest}")
        rows = [[float(b), float(r), float(d)] for b, (r, d) in (trained or {}).items()]
        for row in rows:
            if not (row[0] > 0 and min(row[1:]) >= 0 and all(map(math.isfinite, row))):
                raise ValueError(
                    "trained must map a positive beta to a finite (rate, distortion), neither "
                    f"negative, got {row[0]}: {tuple(row[1:])}"
                )
        beta = 0.4 * largest if beta is None else float(beta)
        drawn = min(largest / 10, smallest, *(row[0] for row in rows))
        low, high = max(largest / 1000, drawn), 2.5 * largest
        if not low <= beta <= high:
            raise ValueError(f"beta must be in [{low:g}, {high:g}], got {beta}")
        super().__init__(spectrum=values, beta=beta, trained=sorted(rows), rest=float(rest))
