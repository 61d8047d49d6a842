"""The price of a nat at which a model spends a given rate, found while it trains."""

from typing import Any

import torch
from torch import Tensor

SPEED = 0.1  # change of log beta in a step at the highest learning rate, if the error is 1
DAMPING = 1.5  # change of log beta where the error changes by 1
MEMORY = 0.9  # of the running mean of the rate: about ten batches


class RateControl:
    r"""Moves a model's ``beta`` after each step, so that the rate becomes the target.

    .. math:: \log\beta_{t+1} = \log\beta_t + \eta\, a_t\, e_t + \kappa\, (e_t - e_{t-1}),
              \qquad e_t = \frac{\bar R_t - \hat R}{\hat R} \text{ clipped to } \pm 1

    :math:`\bar R` is a running mean of the batches' rates, and :math:`a_t` the learning rate as a
    part of its highest: β is moved as fast as the weights can follow. They follow late, so without
    the second term, which answers a rate on the move, β would run far past its aim and back.
    An ensemble's members each have their own β.

    Raises ValueError for a model without a buffer ``beta``, or with one that is 0.
    Source: Rezende and Viola 2018 (GECO), with the rate as the constraint; the second term is that
    of a PI controller.
    """

    def __init__(self, model: Any, target: float) -> None:
        beta = getattr(model, "beta", None)
        if not isinstance(beta, Tensor):
            raise ValueError(
                f"target_rate={target}: a {type(model).__name__} has no buffer 'beta' that could "
                "be moved; give a VAE or a SphericalVAE, or leave target_rate out"
            )
        if not (beta > 0).all():
            raise ValueError(
                f"target_rate={target}: beta starts at {beta.min().item():g} and is moved by "
                "factors, so it must be positive; 0.1 is a good start"
            )
        self.model, self.target = model, target
        self.mean: Tensor | None = None  # (), or (members,)

    @torch.no_grad()
    def move(self, rate: Tensor, part: float) -> None:
        """One step of beta, from the mean rate of a batch, at that part of the learning rate."""
        before = rate if self.mean is None else self.mean
        self.mean = torch.lerp(rate, before, MEMORY)
        error, last = (((r - self.target) / self.target).clamp(-1, 1) for r in (self.mean, before))
        change = SPEED * part * error + DAMPING * (error - last)
        beta = self.model.beta  # looked up each time: a model that is moved gets new buffers
        beta.mul_(change.exp().view_as(beta))
