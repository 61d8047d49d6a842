"""The cone of 2 x 2 covariance matrices: two ends, three shortest ways between them."""

import traitlets
from jaxtyping import Float
from torch import Tensor

from vae_course.figures.base import Figure
from vae_course.spd.geodesic import METRICS

_CSS = """
.vf-cone .vf-plane, .vf-cone .vf-side { flex: 1 1 290px; max-width: none; }
.vf-cone canvas { touch-action: manipulation; }
.vf-cone .vf-b::before { border-color: var(--vf-warn); border-radius: 3px; }
.vf-cone .vf-controls { display: grid; gap: .25rem 1rem;
  grid-template-columns: repeat(auto-fit, minmax(135px, 1fr)); }
.vf-cone .vf-readout { min-height: 4.2em; }
@media (max-width: 420px) { .vf-cone .vf-row canvas { aspect-ratio: 3.6 !important; } }
"""


class SpdCone(Figure, js="spd_cone.js", css=_CSS):
    r"""The cone of positive semi-definite 2 x 2 matrices: two draggable ends, three shortest ways.

    .. math:: S = \begin{pmatrix} a & b \\ b & c \end{pmatrix} \mapsto
              \Big(\tfrac{a - c}2,\ b,\ \tfrac{a + c}2\Big) = (x, y, h), \qquad
              \lambda_{1, 2} = h \pm \sqrt{x^2 + y^2}

    so that definite matrices fill the inside, rank 1 is the boundary and rank 0 the apex. A ring
    moves an end at its height, half its trace; sliders set the traces, and a button divides the
    small eigenvalue of B by 10. Between the ends run the paths of ``spd.geodesic`` under the three
    metrics, with the ellipses :math:`v^\top S^{-1} v = 1` along the chosen one, and the area
    :math:`\pi \sqrt{\det S}` along all: it goes geometrically, except for Bures. At rank 1 two of
    the three distances are infinite.

    After the reader's last touch the traits ``a`` and ``b`` hold the ends as [a, b, c], and
    ``metric`` her choice; setting one from Python moves the figure.

    Args:
        a: End A, (2, 2), symmetric, positive semi-definite, not 0. Default: eigenvalues 4 and 0.5,
            the first along the horizontal.
        b: End B. Default: eigenvalues 4 and 0.3, the first turned by 60 degrees.
        metric: One of ``spd.geodesic``'s, whose ellipses are shown.

    Raises:
        ValueError: For another shape, a matrix that is not symmetric, not semi-definite or 0, or
            another metric.
    """

    a = traitlets.List(traitlets.Float()).tag(sync=True)
    b = traitlets.List(traitlets.Float()).tag(sync=True)
    metric = traitlets.Unicode().tag(sync=True)
    tallest = traitlets.Float().tag(sync=True)  # the largest trace that a slider gives

    def __init__(
        self,
        a: Float[Tensor, "2 2"] | None = None,
        b: Float[Tensor, "2 2"] | None = None,
        metric: str = "log_euclidean",
    ) -> None:
        # 4 u u' + 0.3 v v' at 60 degrees
        ends = {
            "a": [4.0, 0.0, 0.5] if a is None else _entries("a", a),
            "b": [1.225, 1.6021469970012115, 3.075] if b is None else _entries("b", b),
        }
        if metric not in METRICS:
            raise ValueError(f"metric must be one of {METRICS}, got {metric!r}")
        tallest = 1.15 * max(end[0] + end[2] for end in ends.values())
        super().__init__(**ends, metric=metric, tallest=tallest)


def _entries(name: str, s: Tensor) -> list[float]:
    """[a, b, c] of a matrix, checked."""
    if s.shape != (2, 2):
        raise ValueError(f"{name} must be (2, 2), got {tuple(s.shape)}")
    rounding = 1e-6 * s.abs().max().item()
    if not (s.isfinite().all() and abs(float(s[0, 1] - s[1, 0])) <= rounding):
        raise ValueError(f"{name} must be finite and symmetric, got {s.tolist()}")
    (p, q), (_, r) = s.detach().double().tolist()
    if min(p, r) < 0 or p * r - q * q < -rounding * (p + r) or p + r == 0:
        raise ValueError(
            f"{name} must be positive semi-definite and not 0, a covariance; got {s.tolist()}"
        )
    return [p, q, r]
