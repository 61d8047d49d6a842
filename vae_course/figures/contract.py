"""The contract: what each decoder makes of draws from the ball that its own encoder advertises."""

from collections.abc import Sequence
from typing import Literal

import torch
import traitlets
from jaxtyping import Float, Int
from torch import Tensor, nn

from vae_course.figures.base import Figure, export_decoders
from vae_course.figures.codes import (
    check_decoders,
    check_finite,
    check_images,
    check_labels,
    check_shape,
    frame_limit,
)

_CSS = """
.vf-contract .vf-top { display: flex; flex-wrap: wrap; gap: .75rem 1.25rem; align-items: center; }
.vf-contract .vf-top .vf-image { width: 72px; flex: none; }
.vf-contract .vf-top .vf-slider { flex: 1 1 12rem; }
.vf-contract .vf-model { flex: 1 1 190px; min-width: 0; max-width: 26rem; margin: 0 auto;
  display: flex; flex-direction: column; gap: .4rem; }
.vf-contract .vf-name { font-weight: 600; flex: none; }
@media (min-width: 700px) { .vf-contract .vf-name { min-height: 2.8em; } }
.vf-contract .vf-ratio { font-variant-numeric: tabular-nums; white-space: pre-line; font-size: 13px;
  color: var(--vf-muted); }
.vf-contract .vf-ratio b { display: block; font-size: 1.5rem; color: var(--vf-ink); }
.vf-contract canvas { touch-action: manipulation; }
.vf-contract .vf-plane-of { cursor: pointer; }
.vf-contract .vf-decoded { display: grid; gap: 4px; grid-template-columns: repeat(4, 1fr); }
.vf-contract .vf-decoded .vf-centre { grid-column: span 2; grid-row: span 2; }
.vf-contract .vf-model .vf-canvas { max-width: 22rem; }
"""


class Contract(Figure, js="contract.js", css=_CSS):
    r"""The same images under several models: choose a code, resample in its ball, compare decoders.

    Each model is asked about its *own* balls, with the same noise for all. The figure reads the
    contract ratio of the chosen image off 256 draws,

    .. math:: \frac{\mathbb E_\varepsilon \|x - g(\mu + \sigma\varepsilon)\|^2}{\|x - g(\mu)\|^2},

    and beside it the ratio of the two errors summed over all images shown (16 draws an image,
    seed 0). A ball is drawn with its radius :math:`\sigma\sqrt d`, d = 2.

    After the reader's last touch the trait ``selected`` holds the image she chose; setting it from
    Python moves the figure.

    Args:
        names: What to call the M models, in the order of the columns.
        mu: Centres, (M, N, 2).
        sigma: Standard deviations, positive, (M, N, 2).
        labels: Classes 0 to 9, (N,).
        images: The encoded images in [0, 1], (N, h, w); shown with 8 bits a pixel.
        decoders: M modules from 2 numbers to h·w, see ``export_decoder``.
        selected: The image that is selected first.
        dtype: Precision of the decoders in the browser. A decoder that "int8" would put off by more
            than 1e-2 in a pixel goes as "float16".

    Raises:
        ValueError: For shapes that do not fit each other, or values outside their range.
        TypeError: For a decoder with an unsupported layer.
    """

    spec = traitlets.Dict().tag(sync=True)
    codes = traitlets.Bytes().tag(sync=True)  # float32: mu (M, N, 2), then sigma (M, N, 2)
    images = traitlets.Bytes().tag(sync=True)  # uint8: labels (N,), then images (N, h, w)
    weights = traitlets.Bytes().tag(sync=True)  # the decoders, see export_decoder
    selected = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        names: Sequence[str],
        mu: Float[Tensor, "M N 2"],
        sigma: Float[Tensor, "M N 2"],
        labels: Int[Tensor, "N"],
        images: Float[Tensor, "N h w"],
        decoders: Sequence[nn.Module],
        *,
        selected: int = 0,
        dtype: Literal["int8", "float16"] = "int8",
    ) -> None:
        mu, sigma, labels, images = (t.detach().cpu() for t in (mu, sigma, labels, images))
        _check(names, mu, sigma, labels, images, decoders)
        if not 0 <= selected < len(labels):
            raise ValueError(f"selected must be in 0..{len(labels) - 1}, got {selected}")
        generator = torch.Generator().manual_seed(0)
        draws = mu + sigma * torch.randn(16, *mu.shape, generator=generator)  # (16, M, N, 2)
        # The int8 weights are fitted where the reader will look: at centres and at draws.
        looked_at = torch.cat([mu, draws.transpose(0, 1).flatten(1, 2)], 1)
        specs, weights = export_decoders(decoders, dtype, looked_at.float())
        super().__init__(
            spec={
                "names": list(names),
                "count": len(labels),
                "shape": list(images.shape[1:]),
                "limits": [frame_limit(m) for m in mu],
                "ratios": _ratios(mu, draws, images, decoders),
                "decoders": specs,
            },
            codes=torch.stack([mu, sigma]).float().numpy().tobytes(),
            images=torch.cat([labels, (images.flatten() * 255).round()]).byte().numpy().tobytes(),
            weights=weights,
            selected=selected,
        )


def _ratios(
    mu: Float[Tensor, "M N 2"],
    draws: Float[Tensor, "K M N 2"],
    images: Float[Tensor, "N h w"],
    decoders: Sequence[nn.Module],
) -> list[float]:
    def error(decoder: nn.Module, z: Tensor) -> float:
        output = decoder(z).reshape(*z.shape[:-1], *images.shape[1:])
        return (images - output).square().sum((-2, -1)).mean().item()

    with torch.no_grad():
        return [
            error(decoder, draws[:, k]) / max(error(decoder, mu[k]), 1e-30)
            for k, decoder in enumerate(decoders)
        ]


def _check(
    names: Sequence[str],
    mu: Tensor,
    sigma: Tensor,
    labels: Tensor,
    images: Tensor,
    decoders: Sequence[nn.Module],
) -> None:
    m, n = len(names), len(labels)
    if m == 0 or n == 0:
        raise ValueError(f"names and labels must not be empty, got {m} and {n}")
    for name, value in (("mu", mu), ("sigma", sigma)):
        check_shape(name, value, (m, n, 2), "models, images, 2")
    check_finite(mu=mu, sigma=sigma)
    if not (sigma > 0).all():
        raise ValueError(f"sigma must be positive, got {sigma.min().item()}")
    check_labels(labels, n)
    check_images(images, n)
    check_decoders(decoders, m, "model", (2, images[0].numel()))
