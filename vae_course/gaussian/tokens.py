"""Codes that are images: the law of the vectors at their places."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from vae_course.arguments import check_alike, check_real
from vae_course.gaussian.divergence import check_balls

HELD = 2**22  # numbers of images' moments at once


class TokenGap(NamedTuple):
    """How far tokens are from the prior, in nats a dimension."""

    value: float
    error: float
    """One standard error, over images."""
    null: float
    """What sampling alone adds to ``value``, for a perfect code too: ``value - null`` is freed."""
    n: int
    """Number of images."""


@torch.no_grad()
def token_gap(
    mu: Float[Tensor, "batch c *places"], sigma: Float[Tensor, "batch c *places"]
) -> TokenGap:
    r"""Is a token Gaussian? The divergence from the prior of the Gaussian that is most like tokens.

    .. math:: \frac1C\,\mathrm{KL}\big(N(m, \Sigma)\,\big\|\,N(0, I)\big)
              = \frac1{2C} \big(\operatorname{tr}\Sigma + \|m\|^2 - C - \log\det\Sigma\big)

    A *token* is the vector :math:`z = \mu + \sigma\varepsilon` of the C channels at one place of
    one image; m and Σ are the mean and covariance of all. No draws are made: of the given balls

    .. math:: m = \langle\mu\rangle, \qquad
              \Sigma = \langle(\mu - m)(\mu - m)^\top\rangle +
              \operatorname{diag}\langle\sigma^2\rangle

    are the moments over ε exactly, and the average over images and places has less noise than
    draws would (Rao and Blackwell). 0 for tokens with the prior's moments; any other law of
    the same moments is not told from it, nor is what ties one place to another. ``information``
    and its gap, which take whole codes, are saturated where these are images.

    Places of an image depend on each other, images do not. With :math:`\Sigma_i`, :math:`m_i` the
    second moments about m and the mean of image i, and S for ``n`` images, to first order

    .. math:: \mathrm{error}^2 = \frac1n \operatorname{Var}_i
              \frac{\langle\|z\|^2\rangle_i - \operatorname{tr}\Sigma^{-1}\Sigma_i}{2C}, \qquad
              \mathrm{null} = \frac1{2Cn} \Big(\tfrac12 \sum_{jk} \operatorname{Var}_i
              \big(L^{-1}\Sigma_i L^{-\top}\big)_{jk} +
              \sum_j \operatorname{Var}_i \big(L^{-1} m_i\big)_j\Big), \quad \Sigma = LL^\top

    The null is the bias of :math:`-\log\det` of an estimated Σ; the other terms have none. It holds
    for any code; for perfect, independent tokens with small σ it is
    :math:`C(C + 3) / (4 C\,\mathrm{tokens})`. An interval is ``value - null`` and Student's t with
    n - 1 degrees of freedom times ``error``; where ``value`` is near ``null`` the error is on the
    safe side.

    Args:
        mu: centres, (batch, C, \*places), channels second: of tokens (batch, places, C) give
            ``mu.mT``, of vectors (batch, d) each is one token. Two images or more.
        sigma: standard deviations, the same shape, positive.

    Raises TypeError for what is no floating-point tensor, ValueError for shapes, dtypes or devices
    that differ, fewer than two images, a ``mu`` that is not finite or a ``sigma`` that is not
    positive and finite. Computed in float64. A measure: not for ``torch.func``, ``torch.compile``
    or ``torch.export``. Source: derived: Gaussian KL; the delta method over images.
    """
    for name, value in (("mu", mu), ("sigma", sigma)):
        if check_real(name, value).ndim < 2 or len(value) < 2:
            raise ValueError(
                f"{name} has shape {tuple(value.shape)}: it must be (batch, C, *places), two "
                "images or more"
            )
    check_alike(mu=mu, sigma=sigma)
    if mu.shape != sigma.shape:
        raise ValueError(
            f"mu has shape {tuple(mu.shape)}, sigma {tuple(sigma.shape)}: both must be "
            "(batch, C, *places), the same"
        )
    check_balls(mu, sigma)
    if mu.device.type == "mps":  # Apple's GPUs have no float64
        mu, sigma = mu.cpu(), sigma.cpu()
    n, c = mu.shape[:2]
    centres = mu.double().reshape(n, c, -1)  # (n, C, places)
    noise = sigma.double().square().reshape(n, c, -1).mean(2)  # (n, C)
    m = centres.mean((0, 2))
    away = centres - m[:, None]
    covariance = torch.einsum("icp,idp->cd", away, away) / (n * away.shape[2])
    covariance += noise.mean(0).diag()
    root = torch.linalg.cholesky(covariance)
    log_det = 2 * root.diagonal().log().sum()
    eye = torch.eye(c, dtype=root.dtype, device=root.device)
    inverse = torch.linalg.solve_triangular(root, eye, upper=False)
    squares = centres.square().sum(1).mean(1) + noise.sum(1)  # <|z|^2> of each image
    traces, norms = torch.empty_like(squares), torch.empty_like(squares)
    for rows in torch.arange(n, device="cpu").split(max(1, HELD // c**2)):
        white = inverse @ away[rows]
        moments = white @ white.mT / white.shape[2] + (inverse * noise[rows, None]) @ inverse.mT
        traces[rows] = moments.diagonal(dim1=1, dim2=2).sum(1)
        norms[rows] = moments.square().sum((1, 2))
    means = away.mean(2) @ inverse.mT
    # The mean of the moments is I, that of the means 0.
    bias = (norms.sum() - n * c) / 2 + means.square().sum()
    value = (squares.mean() - c - log_det) / (2 * c)
    error = ((squares - traces) / (2 * c)).std() / n**0.5
    return TokenGap(value.item(), error.item(), (bias / (2 * c * n * (n - 1))).item(), n)
