"""Errors of what is computed from a sample of images."""

from collections.abc import Callable

import torch
from torch import Tensor

from vae_course.evaluation import Estimate


def ratio(above: Tensor, below: Tensor) -> tuple[Estimate, Tensor]:
    r"""A ratio of means over images, :math:`\langle a\rangle / \langle b\rangle`, with its error,
    and what each image brings to it.

    .. math:: \mathrm{each}_i = r + \frac{a_i - r\, b_i}{\langle b\rangle}, \qquad
              \mathrm{error}^2 = \frac{\operatorname{Var}_i(a_i - r\, b_i)}
              {n\,\langle b\rangle^2}

    A plain mean over a fixed denominator covers 86 to 90 % where this covers 95: the images that
    are hard have a large variance too. Two images or more. Source: the delta method; Cochran 1977.
    """
    a, b = above.double().flatten(), below.double().flatten()
    r = a.mean() / b.mean()
    each = r + (a - r * b) / b.mean()
    error = each.std() / len(a) ** 0.5
    return Estimate.t(r.item(), error.item(), len(a)), each


def squared(a: Tensor, b: Tensor) -> Tensor:
    """‖a − b‖² of each image, (n,), float64."""
    return (a - b).flatten(1).square().sum(1, dtype=torch.float64)


def first_order(value: float, change: Tensor) -> tuple[Estimate, Tensor]:
    """A smooth statistic of n images, its error from the change that each of them makes to it, to
    first order, and what each brings to it: the delta method. Two images or more."""
    each = value + (change - change.mean()).double()
    return Estimate.t(value, each.std().item() / len(each) ** 0.5, len(each)), each


def jackknife(
    n: int, statistic: Callable[[Tensor], Tensor | float], *, groups: int = 10
) -> tuple[Estimate, Tensor]:
    """A statistic of n images, its error by leaving out a tenth of them at a time, and the
    pseudo-value of each tenth.

    ``statistic`` takes the indices of images that are kept. For what is no mean: a standard
    deviation, a condition number. t with groups - 1 degrees of freedom.
    """
    groups = min(groups, n)
    everyone = torch.arange(n, device="cpu")
    value = float(statistic(everyone))
    part = everyone % groups
    without = [float(statistic(everyone[part != g])) for g in range(groups)]
    left = torch.tensor(without, dtype=torch.float64, device="cpu")
    error = ((groups - 1) / groups * (left - left.mean()).square().sum()).sqrt().item()
    return Estimate.t(value, error, groups), groups * value - (groups - 1) * left
