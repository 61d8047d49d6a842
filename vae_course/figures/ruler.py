"""Sigma as a ruler: a grid in z, a grid in equal data distances, and both on the manifold."""

import numpy as np
import torch
import traitlets
from jaxtyping import Float, Int
from torch import Tensor, nn

from vae_course.figures.base import Figure, export_decoder
from vae_course.figures.codes import check_slice, frame_limit
from vae_course.isometry import isometric_coordinates

KNOTS = 129  # of each table that turns z_j into y_j

_CSS = """
.vf-ruler .vf-plane, .vf-ruler .vf-side { flex: 1 1 290px; max-width: none; }
.vf-ruler canvas { touch-action: manipulation; }
.vf-ruler .vf-plane canvas { cursor: crosshair; }
.vf-ruler .vf-controls { display: grid; gap: .5rem 1.5rem; align-items: end;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 350px), 1fr)); }
.vf-ruler .vf-walks { display: grid; gap: .75rem 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(270px, 1fr)); }
.vf-ruler .vf-thumbs { display: grid; gap: 2px; padding: 0 6px 0 40px;
  grid-template-columns: repeat(9, 1fr); }
.vf-ruler .vf-readout { min-height: 4.2em; }
"""


class Ruler(Figure, js="ruler.js", css=_CSS):
    r"""A grid on the plane of two latents and its image on the manifold, in z or in y.

    .. math:: \mathrm dy_j = \sqrt{\beta/2}\, \frac{\mathrm d\mu_j}{\sigma_j}

    is the isometric coordinate, integrated over the given codes by ``isometric_coordinates``: the
    reader switches from equal steps in z to equal steps in y, *one* step for both latents, and
    sees a warped grid become squares. Below, a walk through the chosen point along one latent, in
    eight equal steps of either kind, each with the length of its path in data space (exact for the
    exported weights, up to the 6 pieces that a step is cut into). The grid is drawn within radius
    2.45, which holds 95 % of the prior on a plane.

    After the reader's last touch the trait ``z`` holds her point on the plane; setting it from
    Python moves the figure.

    Args:
        decoder: From d numbers to m, see ``export_decoder``; 2 bytes a weight.
        mu: Centres, (N, d), d ≥ 2: from some hundred to 2,000, as y is integrated over them.
        sigma: Standard deviations, positive, (N, d).
        beta: The price of the rate that the model was trained at.
        axes: The two latents that are drawn.
        anchor: Where the other latents stay, (d,); default: the median of mu.
        image_shape: (h, w) of an image in [0, 1], to show the walks in pictures.
        labels: Classes 0 to 9, (N,), which colour the codes.

    Raises:
        ValueError: For shapes that do not fit each other, or values outside their range.
        TypeError: For a decoder with an unsupported layer.
    """

    spec = traitlets.Dict().tag(sync=True)
    numbers = traitlets.Bytes().tag(sync=True)  # float32, see the constructor
    labels = traitlets.Bytes().tag(sync=True)  # uint8 (N,), or empty
    weights = traitlets.Bytes().tag(sync=True)  # the decoder, see export_decoder
    z = traitlets.List(traitlets.Float()).tag(sync=True)

    def __init__(
        self,
        decoder: nn.Module,
        mu: Float[Tensor, "N d"],
        sigma: Float[Tensor, "N d"],
        beta: float,
        *,
        axes: tuple[int, int] = (0, 1),
        anchor: Float[Tensor, "d"] | None = None,
        image_shape: tuple[int, int] | None = None,
        labels: Int[Tensor, "N"] | None = None,
    ) -> None:
        mu, sigma = mu.detach().cpu().float(), sigma.detach().cpu().float()
        anchor = check_slice(decoder, mu, sigma, beta, axes, anchor, labels, image_shape)
        anchor = anchor.detach().cpu().float()
        drawn = mu[:, list(axes)]  # (N, 2)
        y = isometric_coordinates(mu, sigma, beta)[:, list(axes)]
        tables = torch.stack([_table(drawn[:, k], y[:, k]) for k in (0, 1)])  # (2, 2, KNOTS)
        codes = anchor.repeat(len(mu), 1)
        codes[:, list(axes)] = drawn
        centre, basis, seen = _principal_axes(decoder, codes)
        decoder_spec, weights = export_decoder(decoder, "float16", codes)
        parts = [anchor, drawn, seen, tables, centre, basis]
        numbers = np.concatenate([part.flatten().numpy() for part in parts])
        super().__init__(
            spec={
                "count": len(mu),
                "d": mu.shape[1],
                "m": len(centre),
                "knots": KNOTS,
                "axes": list(axes),
                "beta": float(beta),
                "limit": frame_limit(drawn),
                "shape": list(image_shape) if image_shape else None,
                "decoder": decoder_spec,
            },
            numbers=numbers.astype("<f4").tobytes(),
            labels=b"" if labels is None else labels.cpu().numpy().astype(np.uint8).tobytes(),
            weights=weights,
            z=[0.0, 0.0],
        )


def _table(z: Float[Tensor, "N"], y: Float[Tensor, "N"]) -> Float[Tensor, "2 knots"]:
    """Knots of the increasing map from z_j to y_j: at even ranks of the codes, linear between."""
    z, order = z.sort()
    at = torch.linspace(0, len(z) - 1, KNOTS).round().long()
    return torch.stack([z[at], y[order][at]])


def _principal_axes(
    decoder: nn.Module, codes: Float[Tensor, "N d"]
) -> tuple[Float[Tensor, "m"], Float[Tensor, "3 m"], Float[Tensor, "N 3"]]:
    """Mean and first three principal axes of the decoded codes, and the codes along them."""
    with torch.no_grad():
        x = decoder(codes).flatten(1)
    centre = x.mean(0)
    basis = torch.linalg.svd(x - centre, full_matrices=False).Vh[:3]  # (at most 3, m)
    # The sign of a singular vector is the library's whim; the largest entry is made positive.
    basis = basis * basis.gather(1, basis.abs().argmax(1, keepdim=True)).sign()
    basis = torch.cat([basis, basis.new_zeros(3 - len(basis), len(centre))])
    return centre, basis, (x - centre) @ basis.T
