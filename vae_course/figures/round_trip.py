"""Image, encoder, ball, decoder, image: one code of the best linear VAE, and its bound in nats."""

import torch
import traitlets
from jaxtyping import Float
from torch import Tensor

from vae_course.figures.base import Figure
from vae_course.figures.codes import check_finite, check_images

_CSS = """
.vf-trip .vf-path { display: grid; gap: .5rem .75rem; align-items: center;
  grid-template: "x encoder plane decoder y" / 1fr auto minmax(0, 3.4fr) auto 1fr; }
.vf-trip .vf-path > :nth-child(1) { grid-area: x; }
.vf-trip .vf-path > :nth-child(2) { grid-area: encoder; }
.vf-trip .vf-path > :nth-child(3) { grid-area: plane; max-width: none; width: 100%; }
.vf-trip .vf-path > :nth-child(4) { grid-area: decoder; }
.vf-trip .vf-path > :nth-child(5) { grid-area: y; }
.vf-trip .vf-step { text-align: center; font-size: 13px; }
.vf-trip .vf-step::after { content: "⟶"; display: block; font-size: 24px; line-height: 1;
  color: var(--vf-accent); }
.vf-trip figure { margin: 0; min-width: 0; }
.vf-trip figcaption { font-size: 13px; line-height: 1.3; color: var(--vf-muted);
  margin-top: .25rem; min-height: 2.6em; }
.vf-trip .vf-handle::before { inset: 16px; border-width: 2px; }
.vf-trip canvas { touch-action: manipulation; }
.vf-trip .vf-plane canvas { cursor: crosshair; }
.vf-trip .vf-bound canvas { min-height: 150px; }
.vf-trip .vf-controls { display: grid; gap: .5rem 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(200px, 1fr)); }
.vf-trip .vf-cards { grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); }
.vf-trip .vf-readout { min-height: 2.8em; }
@media (max-width: 620px) { .vf-trip .vf-path { grid-template: "x encoder decoder y" auto
  "plane plane plane plane" auto / 1fr auto auto 1fr; } }
"""


class RoundTrip(Figure, js="round_trip.js", css=_CSS):
    r"""One image through the best linear VAE with two latents, where every number is exact.

    The decoder is :math:`p(x \mid z) = N(\bar x + W z, \tfrac\beta2 I)` with
    :math:`W = U_2 (\Lambda_2 - \tfrac\beta2 I)_+^{1/2}` from the two largest principal axes of the
    images: probabilistic PCA at this price, of which the *own* β is the maximum likelihood,

    .. math:: \beta = \frac{2}{m - 2} \sum_{j > 2} \lambda_j .

    Then the true posterior is a ball along the axes, so the encoder can be perfect,
    and :math:`\log p(x) = \mathrm{ELBO} + \mathrm{KL}(q \,\|\, p(z \mid x))` is shown with each of
    its terms, in nats, while the reader moves the ball, asks the encoder, and draws.

    After the reader's last touch the traits ``beta``, ``selected``, ``mu`` and ``sigma`` hold
    where she is; setting them from Python moves the figure.

    Args:
        images: All images of the model in [0, 1], (n, h, w).
        shown: How many of them, from the first, the reader can choose from.
        beta: Where the slider starts, from the first to the last of ``spec["betas"]``. Default: the
            images' own β.
        selected: The image that is encoded first, below ``shown``.

    Raises:
        ValueError: For values outside their range, fewer than 4 images or 3 pixels, or images that
            vary in fewer than three directions.

    Source: Tipping and Bishop 1999, *Probabilistic principal component analysis*, eq. 7 and 8.
    """

    spec = traitlets.Dict().tag(sync=True)
    # float32: the mean (m,), two axes (2, m), the images shown (shown, m), all coordinates (n, 2)
    numbers = traitlets.Bytes().tag(sync=True)
    beta = traitlets.Float().tag(sync=True)
    selected = traitlets.Int(0).tag(sync=True)
    mu = traitlets.List(traitlets.Float()).tag(sync=True)
    sigma = traitlets.List(traitlets.Float()).tag(sync=True)

    def __init__(
        self,
        images: Float[Tensor, "n h w"],
        shown: int = 8,
        *,
        beta: float | None = None,
        selected: int = 0,
    ) -> None:
        images = images.detach().cpu().double()
        check_images(images, len(images))
        check_finite(images=images)
        n, m = len(images), images[0].numel()
        if n < 4 or m < 3:
            raise ValueError(f"images must be 4 or more, of 3 pixels or more, got {n} of {m}")
        if not 1 <= shown <= min(n, 24):
            raise ValueError(f"shown must be in 1..{min(n, 24)}, got {shown}")
        if not 0 <= selected < shown:
            raise ValueError(f"selected must be in 0..{shown - 1}, got {selected}")
        flat = images.flatten(1)
        values, vectors = torch.linalg.eigh(flat.T.cov(correction=0))
        values, axes = values.flip(0), vectors.T.flip(0)[:2]
        own = 2 * values[2:].clamp_min(0).sum().item() / (m - 2)
        if not own > 1e-6 * values[0].item():
            raise ValueError("images must vary in three directions or more")
        # The sign of an eigenvector is the machine's: here its largest entry is positive.
        axes = axes * axes.gather(1, axes.abs().argmax(1, keepdim=True)).sign()
        high = 2.4 * values[0].item()
        betas = [own * (high / own) ** (k / 20) for k in range(-10, 21)]
        beta = own if beta is None else beta
        if not betas[0] <= beta <= betas[-1]:
            raise ValueError(f"beta must be in [{betas[0]:.3g}, {betas[-1]:.3g}], got {beta}")
        mean = flat.mean(0)
        coordinates = (flat - mean) @ axes.T
        eigenvalues = values[:2]
        w = (eigenvalues - beta / 2).clamp_min(0).sqrt()
        parts = [mean, axes, flat[:shown], coordinates]
        super().__init__(
            spec={
                "shape": list(images.shape[1:]),
                "eigenvalues": eigenvalues.tolist(),
                "betas": betas,
                "own": own,
                "shown": shown,
                "count": n,
            },
            numbers=torch.cat([part.flatten() for part in parts]).float().numpy().tobytes(),
            beta=beta,
            selected=selected,
            mu=(coordinates[selected] * w / (w.square() + beta / 2)).tolist(),
            sigma=(beta / 2 / (w.square() + beta / 2)).sqrt().tolist(),
        )
