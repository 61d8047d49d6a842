"""A codebook on the latent plane: cells, decoded centres, and what pulls codes and centres."""

import math
from typing import Literal

import torch
import traitlets
from jaxtyping import Float, Int
from torch import Tensor, nn

from vae_course.figures.base import Figure, export_decoder
from vae_course.figures.codes import check_finite, check_labels, check_shape, decoder_ends

_CSS = """
.vf-voronoi .vf-plane { flex-grow: 1.8; max-width: 34rem; }
.vf-voronoi canvas { touch-action: manipulation; }
.vf-voronoi .vf-plane canvas { cursor: crosshair; }
.vf-voronoi .vf-buttons button { flex: 1 1 12rem; }
.vf-voronoi .vf-decoded { display: grid; grid-template-columns: 2fr 3fr; gap: .75rem;
  max-width: 24rem; align-items: start; }
.vf-voronoi .vf-members { display: grid; grid-template-columns: repeat(3, 1fr); gap: 4px; }
.vf-voronoi .vf-members canvas { min-width: 0; }
.vf-voronoi .vf-members canvas[hidden] { display: block; visibility: hidden; }
.vf-voronoi figcaption { font-size: 13px; line-height: 1.3; color: var(--vf-muted);
  margin-top: .25rem; }
.vf-voronoi .vf-coordinates { display: grid; grid-template-columns: 1fr 1fr; gap: .75rem; }
.vf-voronoi .vf-readout { min-height: 5.6em; }
"""


class VoronoiCells(Figure, js="voronoi_cells.js", css=_CSS):
    r"""The cells of a codebook of two-dimensional codes: move a centre, see what follows.

    A code z belongs to the nearest centre :math:`e_k` (of equals, the first) and is decoded as that
    centre is. With :math:`p_k` the share of codes in cell k the figure reads out

    .. math:: \text{perplexity} = e^{-\sum_k p_k \log p_k}, \qquad
              \text{quantisation error} = \tfrac1N \sum_n \|z_n - e_{k(n)}\|^2, \qquad
              \text{distortion} = \tfrac1N \sum_n \|x_n - g(e_{k(n)})\|^2

    (squared errors summed over the dimensions). Arrows are *forces*, half the negative gradient:
    :math:`c\,(e_k - z)` of the commitment :math:`c\,\|z - e_k\|^2` on each code of the chosen cell,
    and the mean of :math:`z - e_k` on its centre. The decoder stays as it was trained.

    After the reader's last touch the traits ``centres`` and ``selected`` hold where she is; setting
    them from Python moves the figure.

    Args:
        centres: The codebook, (K, 2), with K from 2 to 64.
        z: Codes before they are quantised, (N, 2).
        labels: Classes 0 to 9, (N,).
        images: The encoded images in [0, 1], (N, h, w); shown with 8 bits a pixel.
        decoder: A module from 2 numbers to h·w, see ``export_decoder``.
        commitment: Weight c of the commitment, finite and not negative.
        selected: The centre that is selected first.
        dtype: Precision of the decoder in the browser. One that "int8" would put off by more than
            1e-2 in a pixel goes as "float16".

    Raises:
        ValueError: For shapes that do not fit each other, or values outside their range.
        TypeError: For a decoder with an unsupported layer.
    """

    spec = traitlets.Dict().tag(sync=True)
    codes = traitlets.Bytes().tag(sync=True)  # float32: the trained centres (K, 2), then z (N, 2)
    images = traitlets.Bytes().tag(sync=True)  # uint8: labels (N,), then images (N, h, w)
    weights = traitlets.Bytes().tag(sync=True)  # the decoder, see export_decoder
    centres = traitlets.List(traitlets.List(traitlets.Float())).tag(sync=True)
    selected = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        centres: Float[Tensor, "K 2"],
        z: Float[Tensor, "N 2"],
        labels: Int[Tensor, "N"],
        images: Float[Tensor, "N h w"],
        decoder: nn.Module,
        *,
        commitment: float = 0.25,
        selected: int = 0,
        dtype: Literal["float16", "int8"] = "float16",
    ) -> None:
        centres, z, labels, images = (t.detach().cpu() for t in (centres, z, labels, images))
        _check(centres, z, labels, images, decoder)
        if not (math.isfinite(commitment) and commitment >= 0):
            raise ValueError(f"commitment must be finite and not negative, got {commitment}")
        if not 0 <= selected < len(centres):
            raise ValueError(f"selected must be in 0..{len(centres) - 1}, got {selected}")
        both = torch.cat([centres, z]).float()
        # The reader may drag a centre anywhere in the frame: the int8 weights are fitted there.
        low, high = _frame(both)
        looked_at = torch.cat([both, _grid(low, high)])
        spec, weights = export_decoder(decoder, dtype, looked_at)
        if dtype == "int8" and spec["error"] > 1e-2:
            spec, weights = export_decoder(decoder, "float16", looked_at)
        super().__init__(
            spec={
                "count": len(z),
                "shape": list(images.shape[1:]),
                "low": low.tolist(),
                "high": high.tolist(),
                "commitment": float(commitment),
                "decoder": spec,
            },
            codes=both.numpy().tobytes(),
            images=torch.cat([labels, (images.flatten() * 255).round()]).byte().numpy().tobytes(),
            weights=weights,
            centres=centres.float().tolist(),
            selected=selected,
        )


def _frame(points: Float[Tensor, "n 2"]) -> tuple[Float[Tensor, "2"], Float[Tensor, "2"]]:
    """A square around all points, with a margin: cells need equal scales on both axes."""
    low, high = points.amin(0), points.amax(0)
    half = 0.55 * (high - low).amax().clamp_min(1e-3)
    return (low + high) / 2 - half, (low + high) / 2 + half


def _grid(low: Float[Tensor, "2"], high: Float[Tensor, "2"]) -> Float[Tensor, "n 2"]:
    t = torch.linspace(0, 1, 33)
    return low + (high - low) * torch.cartesian_prod(t, t)


def _check(centres: Tensor, z: Tensor, labels: Tensor, images: Tensor, decoder: nn.Module) -> None:
    n = len(labels)
    if n == 0:
        raise ValueError("labels must not be empty")
    check_shape("centres", centres, (len(centres), 2), "codes, 2")
    if not 2 <= len(centres) <= 64:
        raise ValueError(f"centres must be 2 to 64 points, got {len(centres)}")
    check_shape("z", z, (n, 2), "images, 2")
    check_finite(centres=centres, z=z)
    check_labels(labels, n)
    if images.ndim != 3 or len(images) != n:
        raise ValueError(f"images must be (images, h, w) = ({n}, h, w), got {tuple(images.shape)}")
    if not ((images >= 0) & (images <= 1)).all():
        raise ValueError(f"images must be in [0, 1], got {images.min():g} to {images.max():g}")
    ends, expected = decoder_ends(decoder), (2, images[0].numel())
    if ends != expected:
        raise ValueError(f"decoder must map 2 to {expected[1]} numbers, got {ends}")
