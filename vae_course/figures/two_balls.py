"""Two balls that touch, and how little of them is shared in high dimension."""

import traitlets

from vae_course.figures.base import Figure

DIMENSIONS = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)

_CSS = """
.vf-two-balls .vf-plane, .vf-two-balls .vf-side { flex: 1 1 280px; max-width: none; }
.vf-two-balls .vf-controls { display: grid; gap: .5rem 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(220px, 1fr)); }
"""


class TwoBalls(Figure, js="two_balls.js", css=_CSS):
    r"""Two round balls with sliders for distance, radius and dimension: touching against overlap.

    Centres lie :math:`\Delta = \text{spacing}\,\sqrt d` apart and both balls have one
    :math:`\sigma`, so that they touch, :math:`\Delta = 2\sigma\sqrt d`, at spacing
    :math:`2\sigma` whatever d. The picture shows draws by their exact coordinate along the line of
    centres and exact distance from it; the plot shows :math:`\log_{10}` of the Bhattacharyya
    coefficient :math:`e^{-\Delta^2/8\sigma^2}` over d.

    Args:
        spacing: Where the distance slider starts, :math:`\Delta/\sqrt d`, from 0 to 3.
        sigma: Where the radius slider starts, from 0.05 to 1.
        d: Where the dimension slider starts, one of ``DIMENSIONS`` (2 to 128).

    Raises:
        ValueError: For a value outside these ranges.
    """

    spacing = traitlets.Float(1.0).tag(sync=True)
    sigma = traitlets.Float(0.5).tag(sync=True)
    d = traitlets.Int(2).tag(sync=True)
    dimensions = traitlets.List(list(DIMENSIONS)).tag(sync=True)

    def __init__(self, spacing: float = 1.0, sigma: float = 0.5, d: int = 2) -> None:
        if d not in DIMENSIONS:
            raise ValueError(f"d must be one of {DIMENSIONS}, got {d}")
        if not 0 <= spacing <= 3:
            raise ValueError(f"spacing must be from 0 to 3, got {spacing}")
        if not 0.05 <= sigma <= 1:
            raise ValueError(f"sigma must be from 0.05 to 1, got {sigma}")
        super().__init__(spacing=spacing, sigma=sigma, d=d)
