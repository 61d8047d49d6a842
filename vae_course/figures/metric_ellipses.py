"""The ball that the encoder chose, against the ellipse that the decoder's metric asks for."""

import numpy as np
import torch
import traitlets
from jaxtyping import Float, Int
from torch import Tensor, nn

from vae_course.figures.base import Figure, export_decoder
from vae_course.figures.codes import check_slice, frame_limit

_CSS = """
.vf-metric .vf-plane, .vf-metric .vf-side { flex: 1 1 300px; }
.vf-metric canvas { touch-action: manipulation; }
.vf-metric .vf-plane canvas { cursor: crosshair; }
/* A small ring: the ball under it is what there is to see. */
.vf-metric .vf-handle::before { inset: 18px; border-width: 2px; box-shadow: none; }
.vf-metric .vf-closer { display: grid; gap: .75rem 1rem;
  grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); }
.vf-metric .vf-shots { display: grid; gap: .75rem; grid-template-columns: repeat(3, 1fr);
  max-width: 20rem; }
.vf-metric figcaption { font-size: 13px; line-height: 1.3; color: var(--vf-muted);
  margin-top: .25rem; }
.vf-metric .vf-readout { min-height: 4.2em; }
"""


class MetricEllipses(Figure, js="metric_ellipses.js", css=_CSS):
    r"""One image's ball beside the unit ellipse of the decoder's pull-back metric, in both spaces.

    On the plane of two latents: the ball :math:`\sum_j v_j^2 / \sigma_j^2 = 2` of the chosen code,
    of radius :math:`\sigma\sqrt d` for d = 2, and the steps that change the image by β,

    .. math:: \|J v\|^2 = \beta, \qquad J = \partial \hat x / \partial z,

    with a switch for the KL term's own stiffness, :math:`\|J v\|^2 + \tfrac\beta2 \|v\|^2 = \beta`,
    which the ball's half axes obey exactly where the loss is stationary and the decoder linear
    over the ball. In data space, on the tangent plane: the ball's image against the circle of
    radius :math:`\sqrt\beta`, with decoded draws. The read-outs are
    :math:`\tfrac2\beta\sigma_j^2\|J_j\|^2`, its sum with :math:`\sigma_j^2`, and the cosine of
    J's two columns. D is the squared error; J is exact for the exported weights (forward mode).

    After the reader's last touch the trait ``selected`` holds the image she chose; setting it from
    Python moves the figure.

    Args:
        decoder: From d numbers to m, see ``export_decoder``; 2 bytes a weight.
        mu: Centres, (N, d), d ≥ 2; some hundreds are enough.
        sigma: Standard deviations, positive, (N, d).
        beta: The price of the rate that the model was trained at.
        axes: The two latents that are drawn.
        anchor: Where the other latents stay for the field of ellipses, (d,); default: the median.
        labels: Classes 0 to 9, (N,), which colour the codes.
        image_shape: (h, w) of an image in [0, 1], to show it and its two tangents.
        selected: The image that is selected first; default: the one nearest to (0.8, 0.8).

    Raises:
        ValueError: For shapes that do not fit each other, or values outside their range.
        TypeError: For a decoder with an unsupported layer.
    """

    spec = traitlets.Dict().tag(sync=True)
    codes = traitlets.Bytes().tag(sync=True)  # float32: anchor (d,), mu (N, d), sigma (N, d)
    labels = traitlets.Bytes().tag(sync=True)  # uint8 (N,), or empty
    weights = traitlets.Bytes().tag(sync=True)  # the decoder, see export_decoder
    selected = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        decoder: nn.Module,
        mu: Float[Tensor, "N d"],
        sigma: Float[Tensor, "N d"],
        beta: float,
        *,
        axes: tuple[int, int] = (0, 1),
        anchor: Float[Tensor, "d"] | None = None,
        labels: Int[Tensor, "N"] | None = None,
        image_shape: tuple[int, int] | None = None,
        selected: int | None = None,
    ) -> None:
        mu, sigma = mu.detach().cpu().float(), sigma.detach().cpu().float()
        anchor = check_slice(decoder, mu, sigma, beta, axes, anchor, labels, image_shape)
        drawn = mu[:, list(axes)]  # (N, 2)
        if selected is None:
            selected = int((drawn - 0.8).norm(dim=1).argmin())
        if not 0 <= selected < len(mu):
            raise ValueError(f"selected must be in 0..{len(mu) - 1}, got {selected}")
        decoder_spec, weights = export_decoder(decoder, "float16", mu)
        numbers = torch.cat([anchor.detach().cpu().float()[None], mu, sigma]).numpy()
        super().__init__(
            spec={
                "count": len(mu),
                "d": mu.shape[1],
                "axes": list(axes),
                "beta": float(beta),
                "limit": frame_limit(drawn),
                "shape": list(image_shape) if image_shape else None,
                "decoder": decoder_spec,
            },
            codes=numbers.astype("<f4").tobytes(),
            labels=b"" if labels is None else labels.cpu().numpy().astype(np.uint8).tobytes(),
            weights=weights,
            selected=selected,
        )
