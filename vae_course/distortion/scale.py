"""Mixing a neural distortion with squared error, under a declared control of its scale."""

import functools
import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from vae_course.arguments import check_finite, check_real
from vae_course.distortion.pixel import Distortion, squared_error

CONTROLS = "add", "null", "lipschitz", "gradient", "balanced"


def combine(
    neural: Distortion,
    share: float,
    control: str,
    *,
    data: Float[Tensor, "n *image"] | None = None,
    constant: float | None = None,
    total_norm: float = 1.0,
    decay: float = 0.99,
) -> "Combined":
    r"""A neural distortion D next to squared error S, with the scale of D under a control.

    A new loss changes *what* is measured and *how much* of it; beta prices both. ``control`` says
    what is held fixed while ``share`` λ moves from S (0) to D (1):

    - ``"add"``: nothing, S + λ D. The price of a nat falls by as much as D weighs.
    - ``"null"``: what the mean image costs, λ c D + (1 - λ) S with c = mean S / mean D there.
    - ``"lipschitz"``: a ceiling, λ min(D / L², S) + (1 - λ) S, at most S for every pair of images.
    - ``"gradient"``: the force on each image. D's gradient at its reconstruction is
      rescaled to the norm of S's, then both are mixed.
    - ``"balanced"``: the mean force over time. Each gradient is divided by a running mean of its
      norm over the images; the shares are λ and 1 - λ of ``total_norm``. Gradients that disagree
      still add up to less.

    The first three are distortions with these formulas. The last two minimise no function: in
    training mode they give the gradient described, and as their value, always, λ D + (1 - λ) S.

    Args:
        neural: a distortion. One that has not yet woken up (``Adversarial`` before its start) is
            left out, and S stands alone.
        share: λ in [0, 1]; for ``"add"`` any λ ≥ 0.
        control: one of the five.
        data: images, for ``"null"`` and ``"lipschitz"``: what their constant is measured on, once,
            by ``null_scale`` and ``lipschitz_squared``.
        constant: instead of data, if it is known: c, or L².
        total_norm: for ``"balanced"``, the norm of an image's gradient, positive.
        decay: for ``"balanced"``, of the running means, in [0, 1).

    Raises:
        ValueError: an argument is out of range, is missing, or does nothing under this control; or
            a constant is asked of a distortion that itself learns.

    Source: ``"balanced"`` after audiocraft's balancer (Défossez et al. 2022); others derived,
    chapter 11.
    """
    _check(neural, share, control, data, constant)
    if not 0 < total_norm < math.inf:
        raise ValueError(f"total_norm={total_norm}: must be finite and positive")
    if not 0 <= decay < 1:
        raise ValueError(f"decay={decay}: must be at least 0 and below 1")
    if data is not None:
        measure = null_scale if control == "null" else lipschitz_squared
        constant = measure(neural, data)
    return Combined(neural, share, control, constant or 1.0, total_norm, decay)


def _check(
    neural: Distortion, share: float, control: str, data: Tensor | None, constant: float | None
) -> None:
    if control not in CONTROLS:
        raise ValueError(f"control={control!r}: choose one of {list(CONTROLS)}")
    largest = math.inf if control == "add" else 1
    if not (math.isfinite(share) and 0 <= share <= largest):
        raise ValueError(f"share={share}: must be in [0, {largest}] for control={control!r}")
    measured = control in ("null", "lipschitz")
    if measured and getattr(neural, "learns", False):
        raise ValueError(
            f"control={control!r} fixes a constant, but this distortion learns and changes its "
            "scale: choose 'gradient' or 'balanced'"
        )
    given = sum(argument is not None for argument in (data, constant))
    if given != measured:
        what = "give one of data and constant" if measured else "leave out data and constant"
        raise ValueError(f"control={control!r} with {given} of data and constant: {what}")
    if data is not None:
        _check_data(data)
    if constant is not None and not 0 < constant < math.inf:
        raise ValueError(f"constant={constant}: must be finite and positive")


def _check_data(data: Tensor) -> None:
    check_real("data", data)
    if data.ndim < 2:
        raise ValueError(f"data has shape {tuple(data.shape)}: give images, (N, *image_shape)")
    check_finite(data=data)


class Combined(nn.Module):
    """What ``combine`` returns: a distortion that knows its share, its control and its scale.

    ``scale`` is what D is multiplied by, c or 1 / L² (1 under the other controls); ``norms`` the
    running means of the gradients' norms, D's and S's (``"balanced"``).
    """

    scale: Tensor
    norms: Tensor
    weight: Tensor

    def __init__(
        self,
        neural: Distortion,
        share: float,
        control: str,
        constant: float,
        total_norm: float,
        decay: float,
    ) -> None:
        super().__init__()
        self.neural, self.share, self.control = neural, float(share), control
        self.total_norm, self.decay = total_norm, decay
        self.learns = control == "balanced" or getattr(neural, "learns", False)
        self.register_buffer(
            "scale", torch.tensor(constant ** (-1 if control == "lipschitz" else 1))
        )
        self.register_buffer("norms", torch.zeros(2))  # not yet divided by weight
        self.register_buffer("weight", torch.tensor(0.0))  # 1 - decay^steps

    def extra_repr(self) -> str:
        """What tells one from another in print and in a checkpoint."""
        own = {"balanced": f", total_norm={self.total_norm}, decay={self.decay}"}
        label = "" if isinstance(self.neural, nn.Module) else f", neural={_label(self.neural)}"
        return f"share={self.share}, control={self.control!r}{own.get(self.control, '')}{label}"

    def forward(
        self, x: Float[Tensor, "batch *image"], x_hat: Float[Tensor, "batch *image"]
    ) -> Float[Tensor, "batch"]:
        """The mixture, for each image."""
        pixel = squared_error(x, x_hat)  # which checks them
        steered = self.control in ("gradient", "balanced")
        if self.share == 0 and not steered:
            return pixel
        if steered and self.training and torch.is_grad_enabled():
            return self._steered(x, x_hat, pixel)
        neural = self.scale * self.neural(x, x_hat)
        if not getattr(self.neural, "active", True):
            return pixel
        if self.control == "lipschitz":
            # where(), since at x_hat = x, where both are 0, minimum() would mix their curvatures
            neural = torch.where(neural > pixel, pixel, neural)
        return self.share * neural + (1 if self.control == "add" else 1 - self.share) * pixel

    def _steered(self, x: Tensor, x_hat: Tensor, pixel: Tensor) -> Tensor:
        """The plain mixture's value, with a gradient of our making."""
        neural, of_neural = _with_gradient(self.neural, x, x_hat.detach())
        if not getattr(self.neural, "active", True):
            return pixel
        of_pixel = 2 * (x_hat.detach() - x)
        norms = torch.stack([_norm(of_neural), _norm(of_pixel)])  # (2, batch)
        shares = norms.new_tensor([self.share, 1 - self.share])
        if self.control == "gradient":
            wanted = norms[1].expand_as(norms)
        else:
            self.norms.lerp_(norms.mean(1).to(self.norms), 1 - self.decay)
            self.weight.lerp_(torch.ones_like(self.weight), 1 - self.decay)
            norms = (self.norms / self.weight).unsqueeze(1).expand_as(norms)
            wanted = torch.full_like(norms, self.total_norm)
        factors = shares.unsqueeze(1) * torch.where(norms > 0, wanted / norms, 0)
        neural_factor, pixel_factor = (f.reshape(-1, *[1] * (x.ndim - 1)) for f in factors)
        gradient = neural_factor * of_neural + pixel_factor * of_pixel
        # Linear in x_hat, with the gradient wanted; then its value is taken out again.
        handle = (gradient * x_hat).flatten(1).sum(1)
        value = self.share * neural + (1 - self.share) * pixel.detach()
        return value + (handle - handle.detach())


@torch.no_grad()
def null_scale(neural: Distortion, data: Float[Tensor, "n *image"]) -> float:
    r"""The factor at which the mean image costs as much under D as under squared error.

    .. math:: c = \sum_i \|x_i - \bar x\|^2 \Big/ \sum_i D(x_i, \bar x)

    ValueError if data is no batch of finite images, or D of their mean is not positive and finite.
    It measures: not for ``torch.func``, ``torch.compile`` or ``torch.export``.
    Source: derived, chapter 11.
    """
    _check_data(data)
    mean = data.mean(0, keepdim=True).expand_as(data)
    cost = neural(data, mean).sum().item()
    if not 0 < cost < math.inf:
        raise ValueError(
            f"data: its mean image costs {cost:.4g} in all, and no scale makes that squared error"
        )
    return squared_error(data, mean).sum().item() / cost


def lipschitz_squared(
    neural: Distortion, data: Float[Tensor, "n *image"], *, steps: int = 20, seed: int = 0
) -> float:
    r"""The largest ratio of D to squared error that a search finds.

    .. math:: L^2 = \max_{x, \delta} D(x, x + \delta) / \|\delta\|^2

    for images x of the data and any δ, sought on three spheres, with radii of 0.01, 0.1 and 1 times
    the data's root mean square distance from its mean: from a random start, ``steps`` times
    towards D's gradient (for a quadratic form, the power iteration). It is the supremum for a
    quadratic form, and a bound from below otherwise: a search proves no ceiling, which is why
    ``combine`` enforces one. Takes 3 x steps evaluations of D and its gradient on the data, of
    which some hundred images are enough.

    ValueError if there are fewer than two different images, or D is not finite near them.
    It measures: not for ``torch.func``, ``torch.compile`` or ``torch.export``.
    Source: derived, chapter 11.
    """
    _check_data(data)
    spread = squared_error(data, data.mean(0, keepdim=True).expand_as(data)).mean().sqrt()
    if not 0 < spread < math.inf:
        raise ValueError(f"data of {len(data)} images differs by {spread:.4g}: give different ones")
    generator = torch.Generator("cpu").manual_seed(seed)
    start = torch.randn(data.shape, generator=generator, device="cpu").to(data)
    largest = data.new_zeros(())
    for radius in (0.01 * spread, 0.1 * spread, spread):
        direction = start
        for _ in range(steps):
            delta = radius * normalize(direction.flatten(1)).view_as(data)
            at = (data + delta).requires_grad_()
            with torch.enable_grad():
                cost = neural(data, at)
                (towards,) = torch.autograd.grad(cost.sum(), at)
            ratio = cost.detach() / delta.square().flatten(1).sum(1)
            largest = torch.maximum(largest, ratio.max())
            lost = towards.flatten(1).norm(dim=1) == 0  # no direction: stay
            direction = torch.where(lost.view(-1, *[1] * (data.ndim - 1)), delta, towards)
    if not 0 < largest < math.inf:
        raise ValueError(f"the largest ratio of D to squared error is {largest:.4g}: no bound")
    return float(largest)


def _with_gradient(neural: Distortion, x: Tensor, x_hat: Tensor) -> tuple[Tensor, Tensor]:
    """The values (batch,), detached, and each image's gradient by x_hat."""
    if getattr(neural, "learns", False):  # it calls autograd itself
        x_hat.requires_grad_()
        values = neural(x, x_hat)
        return values.detach(), torch.autograd.grad(values.sum(), x_hat)[0]

    def total(x_hat: Tensor) -> tuple[Tensor, Tensor]:
        values = neural(x, x_hat)
        return values.sum(), values

    gradient, values = torch.func.grad(total, has_aux=True)(x_hat)  # an ensemble's vmap allows it
    return values.detach(), gradient.detach()


def _norm(images: Tensor) -> Tensor:
    return images.flatten(1).norm(dim=1)  # (batch,)


def _label(distortion: Any) -> str:
    if isinstance(distortion, functools.partial):  # its own repr holds an address
        return f"{_label(distortion.func)}({distortion.keywords})"
    return getattr(distortion, "__qualname__", "unnamed")
