"""Quadratic forms: how a distortion measures a small change of an image."""

from collections.abc import Callable
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv_transpose2d

from vae_course.arguments import check_alike, check_finite, check_real, visible
from vae_course.spd.precision import full_precision

# metric(x, v) -> G_x v for points x (batch, *output) and tangent vectors v (*stack, batch, *output)
Metric = Callable[[Tensor, Tensor], Tensor]


def check_metric(metric: object) -> None:
    """TypeError for what is no metric."""
    if not (metric is None or isinstance(metric, Tensor) or callable(metric)):
        raise TypeError(
            f"metric must be None, a tensor (m, m) or a callable metric(x, v), got "
            f"{type(metric).__name__}: for squared error leave it out"
        )


def apply_metric(metric: Metric | Tensor | None, x: Tensor, v: Tensor) -> Tensor:
    r"""G v for any of the three ways to give a metric; see ``pullback_metric``.

    Raises ValueError for a matrix or a result of the wrong shape, dtype or device. Whether the
    result is finite is for the caller to see: most often in a number that is made of it anyway.
    """
    check_metric(metric)
    if metric is None:
        return v
    if isinstance(metric, Tensor):
        m = x[0].numel()
        check_real("metric", metric)
        if metric.shape != (m, m):
            raise ValueError(
                f"metric has shape {tuple(metric.shape)}; for {m} outputs a constant metric is "
                f"({m}, {m}), and one that depends on x is a callable metric(x, v)"
            )
        check_alike(output=x, metric=metric)
        return (v.flatten(-(x.ndim - 1)) @ metric).unflatten(-1, x.shape[1:])
    weighted = metric(x, v)
    if not isinstance(weighted, Tensor) or weighted.shape != v.shape:
        gave = (
            f"shape {tuple(weighted.shape)}"
            if isinstance(weighted, Tensor)
            else type(weighted).__name__
        )
        raise ValueError(
            f"metric gave {gave} for tangent vectors {tuple(v.shape)}; metric(x, v) returns G v, "
            "of the shape of v"
        )
    return weighted


def metric_scaled(weight: Callable[[Tensor], Tensor]) -> Metric:
    r"""The metric of a squared error whose price depends on the place.

    .. math:: D(x, \hat x) = a_x \|x - \hat x\|^2 \quad\Rightarrow\quad G_x = a_x I

    ``weight(x)`` gives :math:`a_x > 0` as (batch,) for x (batch, \*output); TypeError for what
    can't be called; ValueError, when the metric is used, for another shape or sign.
    Source: derived, see chapter 07.
    """
    if not callable(weight):
        raise TypeError(
            f"weight must be a callable, got {type(weight).__name__}: for one number a give "
            "lambda x: a + 0 * x.flatten(1)[:, 0]"
        )

    def metric(x: Tensor, v: Tensor) -> Tensor:
        check_points(x, v)
        a = weight(x)
        gave = tuple(a.shape) if isinstance(a, Tensor) else type(a).__name__
        must = f"it must give ({len(x)},) positive numbers"
        if not isinstance(a, Tensor) or a.shape != x.shape[:1]:
            raise ValueError(f"weight gave shape {gave}; {must}")
        if visible(a) and not (a > 0).all():
            raise ValueError(f"weight gave shape {gave}, smallest {a.min().item():.4g}; {must}")
        return a.reshape(-1, *[1] * (x.ndim - 1)) * v

    return metric


def metric_bce(x: Float[Tensor, "batch *output"], v: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    r"""The metric of a cross-entropy (``distortion.bernoulli``), in terms of the pixels' means.

    .. math:: D(x, x + \delta) - D(x, x) \simeq \sum_i \frac{\delta_i^2}{2 x_i (1 - x_i)}

    For decoders whose output lies in [0, 1], such as ``VAE.decode``. It grows without bound
    towards black and white, where a sigmoid's tangents vanish faster: entries of v that are 0
    count 0 there. ValueError for x outside [0, 1] (looked at in eager mode only) and for shapes
    that do not fit; a change that leaves 0 or 1 itself costs infinitely much, and the caller's
    check reports it. In float32, a pixel within 1e-7 of 1 has
    lost its digits: use ``metric_logits``, which has no such place. Source: derived, chapter 07.
    """
    check_points(x, v)
    if visible(x) and not ((x >= 0) & (x <= 1)).all():
        raise ValueError(
            f"x lies in [{x.min():.4g}, {x.max():.4g}]; the cross-entropy's metric needs means in "
            "[0, 1]: decode to means, or use metric_logits for logits"
        )
    return torch.where(v == 0, 0, v / (2 * x * (1 - x)))


def metric_logits(
    x: Float[Tensor, "batch *output"], v: Float[Tensor, "..."]
) -> Float[Tensor, "..."]:
    r"""The metric of a cross-entropy (``distortion.bernoulli``), in terms of the logits.

    .. math:: D(s(\ell), \ell + \delta) - D(s(\ell), \ell) \simeq
              \tfrac12 \sum_i s(\ell_i)\,(1 - s(\ell_i))\, \delta_i^2,
              \qquad s(\ell) = 1 / (1 + e^{-\ell})

    The same lengths as ``metric_bce`` after a sigmoid, for decoders that put out logits; any real
    x. float32: relative error 1e-6 while the weight is above 1e-38.
    ValueError for shapes that do not fit or values that are not finite.
    Source: derived, see chapter 07.
    """
    check_points(x, v)
    return v * torch.sigmoid(x) * torch.sigmoid(-x) / 2


@full_precision
def ssim_distortion(
    x: Float[Tensor, "batch *image"], x_hat: Float[Tensor, "batch *image"],
    *, window: int = 7, c1: float = 0.01**2, c2: float = 0.03**2,
) -> Float[Tensor, "batch"]:  # fmt: skip
    r"""One minus the structural similarity of each image, a mean over all windows and channels.

    .. math:: D = 1 - \Big\langle \frac{2\mu_x\mu_{\hat x} + C_1}{\mu_x^2 + \mu_{\hat x}^2 + C_1}
              \cdot \frac{2\,\mathrm{Cov}(x, \hat x) + C_2}{\sigma_x^2 + \sigma_{\hat x}^2 + C_2}
              \Big\rangle_{\text{windows}}

    Windows of ``window`` x ``window`` pixels, all that fit, evenly weighted, with moments over the
    window's own pixels. Images (batch, \*channels, height, width) with values of range 1 (C1, C2).
    Between 0 (equal) and 2; as a *mean* it needs a smaller beta than a sum. ValueError for shapes
    that differ or are smaller than the window. Source: Wang, Bovik, Sheikh, Simoncelli 2004.
    """
    check_real("x", x), check_real("x_hat", x_hat)
    check_alike(x=x, x_hat=x_hat)
    if x.shape != x_hat.shape:
        raise ValueError(
            f"shapes differ: x {tuple(x.shape)} and x_hat {tuple(x_hat.shape)} must be alike"
        )
    a, b = _planes(x, window), _planes(x_hat, window)
    mean_a, mean_b = _mean(a, window), _mean(b, window)
    var_a, var_b = (_mean(p * p, window) - m * m for p, m in ((a, mean_a), (b, mean_b)))
    covariance = _mean(a * b, window) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + c1) / (mean_a.square() + mean_b.square() + c1)
    structure = (2 * covariance + c2) / (var_a + var_b + c2)
    return 1 - (luminance * structure).reshape(len(x), -1).mean(1)


@full_precision
def metric_ssim(
    x: Float[Tensor, "batch *image"], v: Float[Tensor, "..."],
    *, window: int = 7, c1: float = 0.01**2, c2: float = 0.03**2,
) -> Float[Tensor, "..."]:  # fmt: skip
    r"""The metric of ``ssim_distortion``: it forgives change where the image is bright or busy.

    .. math:: D(x, x + \delta) \simeq \Big\langle \frac{\bar\delta^2}{2\mu_x^2 + C_1} +
              \frac{\mathrm{Var}\,\delta}{2\sigma_x^2 + C_2} \Big\rangle_{\text{windows}}

    with mean and variance over a window. Arguments and errors as in ``ssim_distortion``; for other
    settings pass ``functools.partial(metric_ssim, window=11)``. float32: 1e-4 of the largest entry.
    Source: derived, see chapter 07.
    """
    check_points(x, v)
    planes = _planes(x, window)
    mean = _mean(planes, window)
    variance = (_mean(planes * planes, window) - mean * mean).clamp_min(0)
    of_mean, of_rest = 1 / (2 * mean.square() + c1), 1 / (2 * variance + c2)
    shape, stack = planes.shape[-2:], v.shape[: v.ndim - x.ndim]
    pixels = v.reshape(*stack, -1, 1, *shape)
    flat = pixels.reshape(-1, 1, *shape)
    v_mean = _mean(flat, window).reshape(*pixels.shape[:-2], *mean.shape[-2:])
    # G = (spread(of_mean - of_rest) mean + spread(of_rest)) / windows, spread the adjoint of mean
    low = _spread(((of_mean - of_rest) * v_mean).reshape(-1, 1, *mean.shape[-2:]), window)
    high = pixels * _spread(of_rest, window)
    windows = mean[0].numel() * len(planes) // len(x)
    return ((low.reshape(pixels.shape) + high) / windows).reshape(v.shape)


def check_points(x: Tensor, v: Tensor) -> None:
    """Raises unless x are points (batch, *output) and v vectors (*stack, batch, *output)."""
    check_real("x", x), check_real("v", v)
    check_alike(x=x, v=v)
    if x.ndim < 2 or v.shape[max(0, v.ndim - x.ndim) :] != x.shape:
        raise ValueError(
            f"v has shape {tuple(v.shape)}, x {tuple(x.shape)}: give points x (batch, *output) and "
            "tangent vectors v (*stack, batch, *output)"
        )
    check_finite(x=x, v=v)


def _planes(x: Tensor, window: int) -> Tensor:
    """(batch x channels, 1, height, width)."""
    if not isinstance(window, int) or window < 1 or x.ndim < 3 or min(x.shape[-2:]) < window:
        raise ValueError(
            f"x has shape {tuple(x.shape)}: windows of {window} x {window} need images "
            "(batch, *channels, height, width) at least as large"
        )
    return x.reshape(-1, 1, *x.shape[-2:])


def _mean(planes: Tensor, window: int) -> Tensor:
    return cast(Tensor, avg_pool2d(planes, window, stride=1))


def _spread(windows: Tensor, window: int) -> Tensor:
    kernel = windows.new_full((1, 1, window, window), 1 / window**2)
    return conv_transpose2d(windows, kernel)
