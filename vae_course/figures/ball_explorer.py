"""Encoded images as Gaussian balls, and what the decoder makes of any point between them."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
import traitlets
from jaxtyping import Float, Int
from torch import Tensor, nn

from vae_course.figures.base import Figure, _ball, export_decoders
from vae_course.figures.codes import (
    check_decoders,
    check_images,
    check_labels,
    check_shape,
    frame_limit,
)
from vae_course.gaussian import kl_to_standard_normal

_CSS = """
.vf-balls .vf-marks { position: relative; height: 1.3em; font-size: 12px; color: var(--vf-muted); }
.vf-balls .vf-marks span { position: absolute; left: calc(8px + (100% - 16px) * var(--at));
  transform: translateX(-50%); }
.vf-balls .vf-marks span:first-child { left: 0; transform: none; }
.vf-balls .vf-marks span:last-child { left: auto; right: 0; transform: none; }
.vf-balls .vf-cards { display: flex; flex-wrap: wrap; gap: .25rem 1.5rem; margin-top: .5rem; }
.vf-balls .vf-cards dt { font-size: 13px; font-weight: 400; color: var(--vf-muted); }
.vf-balls .vf-cards dd { font-weight: 600; font-variant-numeric: tabular-nums; }
.vf-balls .vf-plane { flex-grow: 1.8; }
.vf-balls canvas { touch-action: manipulation; }
.vf-balls .vf-plane canvas { cursor: crosshair; }
.vf-balls .vf-classes { display: flex; gap: 2px; margin: .5rem 6px 0 30px; }
.vf-balls .vf-classes button { flex: 1 1 24px; min-width: 24px; padding: 0;
  border: 0; border-bottom: 5px solid var(--class); border-radius: 3px; }
.vf-balls .vf-classes button:hover { border-color: var(--class); }
.vf-balls .vf-classes button[aria-pressed=true] { background: var(--vf-ink);
  color: var(--vf-paper); font-weight: 700; }
.vf-balls .vf-coordinates { display: grid; grid-template-columns: 1fr 1fr; gap: .75rem; }
.vf-balls .vf-pair { display: grid; grid-template-columns: 1fr 1fr; gap: .75rem; max-width: 22rem; }
.vf-balls figcaption { font-size: 13px; line-height: 1.3; color: var(--vf-muted);
  margin-top: .25rem; white-space: pre-line; }
.vf-balls .vf-readout { min-height: 4.2em; }
.vf-balls .vf-samples { display: flex; flex-wrap: wrap; gap: .75rem; align-items: center; }
.vf-balls .vf-samples button { flex: 1 0 13rem; }
.vf-balls .vf-thumbs { flex: 3 1 20rem; min-width: 0; display: grid; gap: 6px;
  grid-template-columns: repeat(8, 1fr); }
@media (max-width: 420px) { .vf-balls .vf-classes { margin: .5rem 0 0; } }
@media (max-width: 600px) { .vf-balls .vf-thumbs { grid-template-columns: repeat(4, 1fr); } }
"""


class BallExplorer(Figure, js="ball_explorer.js", css=_CSS):
    r"""Codes of a two-dimensional VAE as balls, over a sweep of beta, with the decoder live.

    A ball is drawn with its radius :math:`\sigma\sqrt d`, d = 2. A point is called *outside* a ball
    beyond the 95 % quantile of the ball's own samples, 2.45 sigma, as in ``gaussian.coverage``;
    distances are counted in radii. Rate (mean KL, nats) and distortion (mean squared error, sum
    over pixels, 16 draws an image, seed 0) are those of the images shown.

    After the reader's last touch the traits ``beta_index``, ``selected`` and ``z`` hold where she
    is; setting them from Python moves the figure.

    Args:
        betas: The sweep, B values, ascending.
        mu: Centres, (B, N, 2).
        sigma: Standard deviations, (B, N, 2); 0 is allowed and is an autoencoder's point.
        labels: Digits 0 to 9, (N,).
        images: The encoded images in [0, 1], (N, h, w); shown with 8 bits a pixel.
        decoders: B modules from 2 numbers to h·w, see ``export_decoder``.
        readouts: More numbers by name, B each, such as ``{"coverage": [...]}``.
        beta_index: Where the slider starts. Default: the middle.
        selected: The ball that is selected first.
        dtype: Precision of the decoders in the browser. A decoder that "int8" would put off by more
            than 1e-2 in a pixel goes as "float16".

    Raises:
        ValueError: For shapes that do not fit each other, or values outside their range.
        TypeError: For a decoder with an unsupported layer.
    """

    spec = traitlets.Dict().tag(sync=True)
    codes = traitlets.Bytes().tag(sync=True)  # float16: mu (B, N, 2), then sigma (B, N, 2)
    images = traitlets.Bytes().tag(sync=True)  # uint8: labels (N,), then images (N, h, w)
    weights = traitlets.Bytes().tag(sync=True)  # the decoders, see export_decoder
    beta_index = traitlets.Int(0).tag(sync=True)
    selected = traitlets.Int(0).tag(sync=True)
    z = traitlets.List(traitlets.Float()).tag(sync=True)  # empty: at the selected ball's centre

    def __init__(
        self,
        betas: Sequence[float],
        mu: Float[Tensor, "B N 2"],
        sigma: Float[Tensor, "B N 2"],
        labels: Int[Tensor, "N"],
        images: Float[Tensor, "N h w"],
        decoders: Sequence[nn.Module],
        readouts: Mapping[str, Sequence[float]] | None = None,
        *,
        beta_index: int | None = None,
        selected: int = 0,
        dtype: Literal["int8", "float16"] = "int8",
    ) -> None:
        mu, sigma, labels, images = (t.detach().cpu() for t in (mu, sigma, labels, images))
        beta_index = len(betas) // 2 if beta_index is None else beta_index
        readouts = dict(readouts or {})
        _check(betas, mu, sigma, labels, images, decoders, readouts)
        if not (0 <= beta_index < len(betas) and 0 <= selected < len(labels)):
            raise ValueError(
                f"beta_index must be in 0..{len(betas) - 1} and selected in 0..{len(labels) - 1}, "
                f"got {beta_index} and {selected}"
            )
        # The int8 weights are fitted where the reader will look: the frame's middle and the balls.
        middle = _ball(2, radius=4.0, points=2048).expand(len(mu), -1, -1)
        specs, weights = export_decoders(decoders, dtype, torch.cat([middle, mu.float()], 1))
        numbers = {
            "rate (nats)": _rate(mu, sigma),
            "distortion": _distortion(mu, sigma, images, decoders),
            **readouts,
        }
        super().__init__(
            spec={
                "betas": [_name(beta) for beta in betas],
                "count": len(labels),
                "shape": list(images.shape[1:]),
                "limits": [frame_limit(m) for m in mu],
                "readouts": {name: [_text(v) for v in row] for name, row in numbers.items()},
                "decoders": specs,
            },
            codes=torch.stack([mu, sigma]).half().numpy().tobytes(),
            images=torch.cat([labels, (images.flatten() * 255).round()]).byte().numpy().tobytes(),
            weights=weights,
            beta_index=beta_index,
            selected=selected,
        )


def _check(
    betas: Sequence[float],
    mu: Tensor,
    sigma: Tensor,
    labels: Tensor,
    images: Tensor,
    decoders: Sequence[nn.Module],
    readouts: Mapping[str, Sequence[float]],
) -> None:
    b, n = len(betas), len(labels)
    if b == 0 or n == 0:
        raise ValueError(f"betas and labels must not be empty, got {b} and {n}")
    if list(betas) != sorted(betas) or not 0 <= betas[0] <= betas[-1] < math.inf:
        raise ValueError(f"betas must be ascending, finite and not negative, got {list(betas)}")
    for name, value in (("mu", mu), ("sigma", sigma)):
        check_shape(name, value, (b, n, 2), "betas, images, 2")
        # float16 ends at 65,504; a latent plane ends long before.
        if not (value.isfinite() & (value.abs() < 6e4)).all():
            raise ValueError(f"{name} must be finite and below 60,000 in magnitude")
    if (sigma < 0).any():
        raise ValueError(f"sigma must not be negative, got {sigma.min().item()}")
    check_labels(labels, n)
    check_images(images, n)
    check_decoders(decoders, b, "beta", (2, images[0].numel()))
    for name, row in readouts.items():
        if len(row) != b:
            raise ValueError(f"readouts[{name!r}] must be one a beta, {b}, got {len(row)}")


def _rate(mu: Tensor, sigma: Tensor) -> list[float]:
    return [
        kl_to_standard_normal(m, s).mean().item() if (s > 0).all() else math.inf
        for m, s in zip(mu, sigma, strict=True)
    ]


def _distortion(
    mu: Tensor, sigma: Tensor, images: Tensor, decoders: Sequence[nn.Module]
) -> list[float]:
    generator = torch.Generator().manual_seed(0)
    eps = torch.randn(16, *mu.shape[1:], generator=generator)
    with torch.no_grad():
        return [
            (decoder(m + s * eps).reshape(16, *images.shape) - images)
            .square()
            .sum((-2, -1))
            .mean()
            .item()
            for m, s, decoder in zip(mu, sigma, decoders, strict=True)
        ]


def _name(beta: float) -> str:
    power = round(math.log10(beta)) if beta > 0 else 0
    if power < -3 and math.isclose(beta, 10.0**power):
        return "10" + str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{beta:g}"


def _text(value: float) -> str:
    return "∞" if value == math.inf else "–" if math.isnan(value) else f"{value:.3g}"
