"""Two codes as points of the Poincaré disk, and a divergence that only sees their distance."""

import math
from collections.abc import Sequence

import traitlets

from vae_course.figures.base import Figure

DIMENSIONS = (2, 3, 4, 8, 16)
LARGEST_RHO = 0.95

_CSS = """
.vf-poincare .vf-plane, .vf-poincare .vf-side { flex: 1 1 300px; }
.vf-poincare .vf-b::before { border-color: var(--vf-warn); border-radius: 3px; }
.vf-poincare .vf-controls { display: grid; gap: .25rem 1rem; margin-top: .5rem;
  grid-template-columns: 1fr 1fr; }
.vf-poincare .vf-cards { grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); }
.vf-poincare .vf-readout { min-height: 4.2em; }
"""


class PoincareDrag(Figure, js="poincare_drag.js", css=_CSS):
    r"""Two spherical Cauchy laws as points of the Poincaré disk: drag them, swap them.

    A law with mode :math:`\mu` and radius :math:`\rho` is the point :math:`\rho\mu` of the disk,
    the plane of both modes. With :math:`a = \rho_1\mu_1`, :math:`b = \rho_2\mu_2` and their
    hyperbolic distance D,

    .. math:: \mathrm{KL}(a\|b) = \mathrm{KL}(b\|a) = F_d(D), \qquad
              \sinh^2\tfrac D2 = \frac{\|a-b\|^2}{(1-\|a\|^2)(1-\|b\|^2)}

    and :math:`F_d(r)` is the rate of a law of hyperbolic radius r. The figure does not use this:
    each direction is a quadrature of :math:`\int p \log(p/q)` on the sphere of R^d, so that their
    equality is seen, as is that of 24 random pairs with the curve :math:`F_d`; a button moves both
    points by a random isometry, which changes their rates and keeps D. Beside them the same modes
    as von Mises-Fisher laws of equal rate, whose divergence differs by direction.

    After the reader's last touch the traits ``a``, ``b`` and ``d`` hold where she is; setting them
    from Python moves the figure.

    Args:
        a: The point :math:`\rho_1\mu_1` of the disk, two numbers, of norm at most 0.95.
        b: The point :math:`\rho_2\mu_2`.
        d: Ambient dimension, one of ``DIMENSIONS`` (2, 3, 4, 8, 16).

    Raises:
        ValueError: For a point outside the disk of radius 0.95, or another d.
    """

    a = traitlets.List(traitlets.Float()).tag(sync=True)
    b = traitlets.List(traitlets.Float()).tag(sync=True)
    d = traitlets.Int(2).tag(sync=True)
    spec = traitlets.Dict().tag(sync=True)

    def __init__(
        self, a: Sequence[float] = (0.8, 0.3), b: Sequence[float] = (-0.2, 0.4), d: int = 2
    ) -> None:
        for name, point in (("a", a), ("b", b)):
            if len(point) != 2 or not math.hypot(*point) <= LARGEST_RHO:
                raise ValueError(
                    f"{name} must be two numbers of norm at most {LARGEST_RHO}, got {tuple(point)}"
                )
        if d not in DIMENSIONS:
            raise ValueError(f"d must be one of {DIMENSIONS}, got {d}")
        spec = {"dimensions": list(DIMENSIONS), "largest": LARGEST_RHO}
        super().__init__(a=[float(v) for v in a], b=[float(v) for v in b], d=d, spec=spec)
