"""The data's spectrum seen through a distortion, and how even the codes are that follow from it."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vae_course.arguments import check_real, check_whole, visible
from vae_course.distortion.pixel import Distortion
from vae_course.distortion.water_filling import check_spectrum

ROUNDING = 1e-4  # of the largest eigenvalue: negative ones down to minus that are rounding
LARGEST = 2**14  # rows of a matrix: 2 GB in float64, and some are held at once


def metric_spectrum(
    data: Float[Tensor, "batch *image"],
    distortion: Distortion,
    *,
    points: int = 512,
    axes: int | None = None,
    seed: int = 0,
) -> Float[Tensor, "axes"]:
    r"""Variances of the data's principal axes, as a distortion measures them.

    .. math:: \mathrm{eig}\big(\Sigma^{1/2}\, E_x[M_x]\, \Sigma^{1/2}\big), \qquad
              M_x = \tfrac12\, \partial^2_{\hat x} D(x, \hat x)\big|_{\hat x = x}

    :math:`\Sigma` is the data's population covariance and :math:`M_x` the metric that D amounts to
    for small errors: I for squared error, whose spectrum is the covariance's, and
    :math:`J_\phi^\top J_\phi` for the squared distance of features :math:`\phi`. What
    ``reverse_water_filling`` says of a linear VAE then holds for D: the posterior variances of the
    d latents follow from the d largest eigenvalues. Exact for a quadratic D; otherwise a forecast
    from small errors and a mean metric.

    Args:
        data: images (N, \*image_shape), two or more, with P numbers each.
        distortion: a callable or module (x, x_hat) -> (batch,) with two derivatives by x_hat, that
            is smallest at x_hat = x. A module is evaluated in eval mode and left as it was.
        points: number of images, drawn without replacement, over which the metric is averaged; all
            of them if there are fewer. The covariance takes all images.
        axes: the metric is taken along that many of the data's principal axes, the largest first;
            None: along all. The eigenvalues found are then lower bounds of the largest ones
            (Cauchy's interlacing), close where a metric doesn't make much of what varies little.
            Images of more than 2^14 numbers need it: P x P doesn't fit. Their axes come from the
            N x N products of images, N up to 2^14; ``axes=N - 1`` are all along which they vary.
        seed: of that draw.

    Returns:
        The ``axes`` or P eigenvalues, descending, float64; in the distortion's unit.

    It measures: not for ``torch.func``, ``torch.compile`` or ``torch.export``.
    Cost: a backward pass an axis over a batch of ``points``, whose graph is held in memory. A
    float32 distortion gives its eigenvalues to 1e-6 of the largest: small ones are rounding.

    Raises:
        ValueError: for data that is not (N, \*image_shape) with N >= 2 or not finite, points or
            axes out of range, images too large for all axes, a distortion without such derivatives,
            one with a kink at x_hat = x (an absolute value, a norm), or one that is not smallest at
            x_hat = x (as ``bernoulli``, whose x_hat is logits, or an adversarial term).

    Source: derived, chapter 11.
    """
    x = _some(data, points, seed)
    flat = data.detach().flatten(1)
    pixels = flat.shape[1]
    if axes is not None and not 1 <= axes <= pixels:
        raise ValueError(f"axes={axes}: must be from 1 to {pixels}, the numbers of an image")
    if axes is None:
        _check_fits(pixels, f"give axes, such as axes={min(256, len(data) - 1)}")
    flat = flat.cpu() if flat.device.type == "mps" else flat  # which has no float64
    if pixels > LARGEST:
        variances, principal = _from_products(flat, axes or pixels)
    else:
        covariance = torch.cov(flat.double().T, correction=0).reshape(pixels, -1)
        variances, principal = torch.linalg.eigh(covariance)
        variances, principal = variances[-(axes or pixels) :], principal[:, -(axes or pixels) :]
    directions = None if axes is None else principal.to(x.dtype).to(x.device)
    metric = _half_hessian(x, distortion, directions).to(flat.device).double()
    if axes is None:
        metric = principal.T @ metric @ principal
    root = variances.clamp_min(0).sqrt()
    eigenvalues = torch.linalg.eigvalsh(root[:, None] * metric * root).flip(0)
    if eigenvalues[-1] < -ROUNDING * eigenvalues[0].abs():
        raise ValueError(
            f"distortion has a direction of negative curvature at x_hat = x (eigenvalues from "
            f"{eigenvalues[-1]:.3g} to {eigenvalues[0]:.3g}): it is not smallest there, so that it "
            "has no metric"
        )
    return eigenvalues.clamp_min(0)


def _from_products(flat: Tensor, axes: int) -> tuple[Tensor, Tensor]:
    """Variances and principal axes, ascending, from the N x N products of images (N, P)."""
    n, pixels = flat.shape
    if n > LARGEST:
        raise ValueError(
            f"data holds {n:,} images of {pixels:,} numbers: give {LARGEST:,} of them, so that "
            "their products fit"
        )
    if axes >= n:
        raise ValueError(f"axes={axes}: {n} images vary along {n - 1} at most")
    away = flat.double()
    away = away - away.mean(0)
    variances, weights = torch.linalg.eigh(away @ away.T / n)  # the covariance's, but for zeros
    # Orthonormal to rounding also where the last variances are small beside the first.
    principal = torch.linalg.qr((away.T @ weights[:, -axes:]).flip(1))[0].flip(1)
    return variances[-axes:], principal


def _check_fits(pixels: int, remedy: str) -> None:
    if pixels > LARGEST:
        raise ValueError(
            f"data has images of {pixels:,} numbers: a matrix {pixels:,} x {pixels:,} takes "
            f"{8 * pixels**2 / 2**30:,.0f} GB in float64; {remedy}"
        )


def mean_metric(
    data: Float[Tensor, "batch *image"],
    distortion: Distortion,
    *,
    points: int = 512,
    seed: int = 0,
) -> Float[Tensor, "pixels pixels"]:
    r"""The metric that a distortion amounts to for small errors, averaged over images.

    .. math:: \bar M = E_x\big[\tfrac12\, \partial^2_{\hat x} D(x, \hat x)\big|_{\hat x = x}\big]

    symmetric, (P, P) for images of P numbers, in the data's dtype: what stands between the roots of
    Σ in ``metric_spectrum``, with its arguments and errors (for P > 2^14 take that, with ``axes``,
    or smaller images: P x P doesn't fit). :math:`\delta^\top \bar M \delta` is
    the quadratic form that D is on average, for errors δ so small that nothing bends.
    It measures: not for ``torch.func``, ``torch.compile`` or ``torch.export``.
    Source: derived, chapter 11.
    """
    x = _some(data, points, seed)
    _check_fits(x[0].numel(), "take metric_spectrum with axes, or smaller images")
    return _half_hessian(x, distortion)


def _some(data: Tensor, points: int, seed: int) -> Tensor:
    """At most that many of the images, drawn without replacement; raises for what is no data."""
    check_real("data", data)
    if data.ndim < 2 or len(data) < 2 or not data.isfinite().all():
        raise ValueError(
            f"data has shape {tuple(data.shape)}: give two or more images (N, *image_shape), "
            "all finite"
        )
    if points < 1:
        raise ValueError(f"points={points}: must be 1 or more; 512 is usual")
    order = torch.randperm(
        len(data), generator=torch.Generator("cpu").manual_seed(seed), device="cpu"
    )
    return data.detach()[order[:points].to(data.device)]


def _half_hessian(x: Tensor, distortion: Distortion, axes: Tensor | None = None) -> Tensor:
    """Half the Hessian by x_hat at x_hat = x, averaged over the images: (P, P), or (k, k) along
    the orthonormal axes (P, k)."""
    with _evaluated(distortion), torch.enable_grad():
        far = x.mean(0, keepdim=True).expand_as(x).clone().requires_grad_()
        at_mean = _gradient(distortion, x, far)
        x_hat = x.clone().requires_grad_()
        slope = _gradient(distortion, x, x_hat)  # (points, P)
        if slope.detach().norm() > 1e-3 * at_mean.detach().norm():
            raise ValueError(
                f"distortion has a slope at x_hat = x ({slope.detach().norm():.3g}, against "
                f"{at_mean.detach().norm():.3g} at the mean image): it is not smallest there, so "
                "that it has no metric; give the part of it that compares two images"
            )
        _check_smooth(distortion, x, far.detach())
        rows = []
        total = slope.sum(0) if axes is None else slope.sum(0) @ axes
        for sums in total:  # images don't mix, so one pass takes this row of every Hessian
            (row,) = torch.autograd.grad(sums, x_hat, retain_graph=True, materialize_grads=True)
            rows.append(row.flatten(1).mean(0))
    hessian = torch.stack(rows)
    hessian = hessian if axes is None else hessian @ axes
    if not hessian.isfinite().all():
        raise ValueError(
            "distortion's second derivative at x_hat = x is not finite: look for a square root or "
            "an absolute value that has none at 0"
        )
    return (hessian + hessian.T) / 4


def _check_smooth(distortion: Distortion, x: Tensor, far: Tensor) -> None:
    """ValueError where the slope near x_hat = x doesn't shrink with the step, as at a kink."""
    steps = [torch.lerp(x, far, share).requires_grad_() for share in (1e-2, 1e-3)]
    large, small = (_gradient(distortion, x, step).detach().norm() for step in steps)
    if small > large / 3:  # of a smooth distortion a tenth
        raise ValueError(
            f"distortion has a kink at x_hat = x (slope {small:.3g} at a thousandth of the way to "
            f"the mean image, {large:.3g} at a hundredth), as an absolute value or a norm has: it "
            "has no metric; give its square, or a smooth one such as sqrt(d**2 + 0.01)"
        )


def _gradient(distortion: Distortion, x: Tensor, x_hat: Tensor) -> Tensor:
    value = distortion(x, x_hat)
    if value.shape != x.shape[:1]:
        raise ValueError(
            f"distortion gave shape {tuple(value.shape)} for {len(x)} images: it must give one "
            "value for each, (batch,)"
        )
    if value.requires_grad:
        (slope,) = torch.autograd.grad(value.sum(), x_hat, create_graph=True)
        if slope.requires_grad:
            return slope.flatten(1)
    raise ValueError(
        "distortion has no second derivative by x_hat: no_grad or detach blocks it, or it is linear"
    )


@contextmanager
def _evaluated(distortion: Distortion) -> Iterator[None]:
    """A module is in eval mode inside, and afterwards each of its parts is as it was."""
    modules = list(distortion.modules()) if isinstance(distortion, nn.Module) else []
    before = [module.training for module in modules]
    try:
        for module in modules:
            module.training = False
        yield
    finally:
        for module, training in zip(modules, before, strict=True):
            module.training = training


def posterior_anisotropy(
    sigma: Float[Tensor, "*batch_n_code"], *, code_ndim: int = 1
) -> Float[Tensor, "..."]:
    r"""How uneven the posterior variances are across latents: 0 when all are alike.

    .. math:: A = \mathrm{Var}_j\, \big\langle \log \sigma_j^2(x) \big\rangle_x

    The logs are averaged over the codes first, then the population variance over the d latents is
    taken, collapsed ones (σ = 1) included. For the optimal linear VAE with all d latents in use it
    is the variance of :math:`\log\lambda_j`, whatever β and the rate: the flatness of the spectrum
    that the distortion sees (``metric_spectrum``), and no more than that.

    Args:
        sigma: posterior standard deviations, positive and finite, (\*batch, N, \*code) to average
            over N codes, or (\*code) for a profile that is already one.
        code_ndim: how many axes a code has: 1 for vectors (N, d), 3 for images (N, C, H, W). What
            stands before N is an ensemble, each member by itself.

    Returns:
        (\*batch,), or a number without shape.

    Raises:
        ValueError: for a sigma out of range (looked at in eager mode only) or without latents.

    float32: relative error 1e-5. Source: Strano et al. 2026.
    """
    check_real("sigma", sigma)
    least = check_whole("code_ndim", code_ndim)
    if sigma.ndim < least or (visible(sigma) and not (sigma.isfinite() & (sigma > 0)).all()):
        code = "d" if least == 1 else f"{least} axes of a code"
        raise ValueError(
            f"sigma has shape {tuple(sigma.shape)}: it must be (*batch, N, {code}) or "
            f"({code},), positive and finite (the standard deviation, not its log)"
        )
    profile = 2 * sigma.log().flatten(-least)
    profile = profile if profile.ndim == 1 else profile.mean(-2)
    return profile.var(-1, correction=0)


def participation_ratio(eigenvalues: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch"]:
    r"""How many axes share the variance: n when all have the same, 1 when one has it all.

    .. math:: \mathrm{PR} = \frac{(\sum_j \lambda_j)^2}{\sum_j \lambda_j^2}
              = \frac{(\mathrm{tr}\, C)^2}{\mathrm{tr}\, C^2}

    for the eigenvalues of a covariance C: of the latents' means,
    ``torch.linalg.eigvalsh(torch.cov(mu.T))``. Scale does not matter. For isotropy look at the
    covariance of mu: that of the aggregate posterior is near I because the KL term makes it so.

    Raises ValueError for eigenvalues that are negative, not finite or all 0 (rounding makes small
    ones negative: ``clamp_min(0)``; looked at in eager mode only), or none.
    float32: relative error 1e-5.
    Source: Gao et al. 2017, *A theory of multineuronal dimensionality*.
    """
    check_spectrum(eigenvalues)
    if visible(eigenvalues) and not (eigenvalues > 0).any(-1).all():
        raise ValueError("eigenvalues are all 0: no variance to share")
    share = eigenvalues / eigenvalues.sum(-1, keepdim=True)
    return 1 / share.square().sum(-1)
