"""The density a VAE knows: from the volume of its balls, or from its objective."""

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from vae_course.arguments import check_alike, check_finite, check_real
from vae_course.isometry.decoder import Decoder, check_codes
from vae_course.isometry.jacobian import pullback_metric
from vae_course.isometry.metrics import Metric
from vae_course.isometry.ruler import check_code


def log_density(
    mu: Float[Tensor, "batch *code"],
    sigma: Float[Tensor, "batch *code"],
    beta: float,
    *,
    method: Literal["volume", "objective"] = "volume",
    loss: Float[Tensor, "batch"] | None = None,
    active: Bool[Tensor, "*code"] | None = None,
    metric_log_det: Float[Tensor, "batch"] | None = None,
) -> Float[Tensor, "batch"]:
    r"""Log density of the data, in nats, with respect to n-dimensional volume on the manifold.

    .. math:: p(x) \simeq \Big(\frac2\beta\Big)^{n/2} \prod_{j\ \text{active}}
              N(\mu_j; 0, 1)\,\sigma_j \cdot |G_x|^{1/2} \quad\text{(volume)}, \qquad
              p(x) \simeq (\pi\beta)^{-n/2}\, e^{-L_x/\beta}\, |G_x|^{1/2} \quad\text{(objective)}

    n counts the *active* units, not all d and not the pixels. The two agree where σ is optimal, x
    on the manifold and σ small. At large beta take the objective: it is a bound on the likelihood
    at any beta. Off the manifold it pays for the distance, :math:`e^{-D/\beta}`; the volume does
    not see it. Where data end abruptly both smear the edge: by sqrt(beta/2), and by as much as the
    network cannot follow it.

    Args:
        mu: centres, (batch, d) or (batch, \*code), finite.
        sigma: standard deviations, the same shape, positive.
        beta: price of a nat in the distortion's unit, positive.
        method: one of the two formulas.
        loss: :math:`L_x = E_q D + \beta\,\mathrm{KL}`, (batch,), for ``"objective"`` only. Averaged
            over draws of z: each adds a spread of sqrt(n/2) nats, so take 200 or more.
        active: mask of the units in use, (\*code); ``active_units`` finds it. All if None: then a
            collapsed unit multiplies p by about :math:`(\pi\beta)^{-1/2}`.
        metric_log_det: :math:`\log|G_x|` on the n tangent directions, (batch,), from
            ``tangent_log_det``; for :math:`G = a_x I` it is :math:`n \log a_x`. 0 if None.

    Raises ValueError for shapes that do not fit, a sigma or beta that is not positive and finite,
    a mask without a unit (the VAE has collapsed), or a loss missing, superfluous or not finite. A
    measure: not for ``torch.func``, ``torch.compile`` or ``torch.export``.
    float32: absolute error 1e-5 (n + the size of the value).
    Source: Nakagawa, Kato, Suzuki 2021; constant and both forms derived in chapter 07.
    """
    if method not in ("volume", "objective"):
        raise ValueError(f"method={method!r}: choose 'volume' or 'objective'")
    beta = check_code(mu, sigma, beta)
    used = check_active(active, mu)
    for name, value in (("loss", loss), ("metric_log_det", metric_log_det)):
        if value is None:
            continue
        if check_real(name, value).shape != mu.shape[:1]:
            raise ValueError(
                f"{name} must be {len(mu)} finite values, one for each code; got shape "
                f"{tuple(value.shape)}"
            )
        check_alike(mu=mu, **{name: value})
        check_finite(**{name: value})
    if (loss is None) == (method == "objective"):
        raise ValueError(
            "method='objective' needs loss, the mean of D + beta * KL of each image"
            if loss is None
            else "loss is for method='objective'; method='volume' takes mu and sigma alone"
        )
    n = int(used.sum())
    if loss is None:
        per_unit = sigma.log() - (mu * mu + math.log(math.pi * beta)) / 2
        value = per_unit[:, used].sum(1)
    else:
        value = -loss / beta - n / 2 * math.log(math.pi * beta)
    return value if metric_log_det is None else value + metric_log_det / 2


def tangent_log_det(
    decoder: Decoder,
    z: Float[Tensor, "batch *code"],
    metric: Metric | Tensor | None,
    *,
    active: Bool[Tensor, "*code"] | None = None,
    chunk: int | None = None,
) -> Float[Tensor, "batch"]:
    r"""How much larger a piece of the manifold is under a metric than under squared error.

    .. math:: \log |G_x| = \log\det(J^\top G J) - \log\det(J^\top J)

    over the active units' columns of J: a number for the n tangent directions, whatever the number
    of pixels. Arguments as in ``pullback_metric``, ``active`` as in ``log_density``.

    Raises as ``pullback_metric``, and ValueError where the active columns are linearly dependent,
    as a collapsed unit's are: leave it out. A measure: not for ``torch.func``, ``torch.compile`` or
    ``torch.export``. Source: derived, see chapter 07.
    """
    check_codes("z", z)
    used = check_active(active, z).flatten()
    both = []
    for form in (metric, None):
        matrix = pullback_metric(decoder, z, form, chunk=chunk)[:, used][:, :, used].double()
        sign, log_det = torch.linalg.slogdet(matrix)
        if not ((sign > 0) & log_det.isfinite()).all():
            raise ValueError(
                f"the {matrix.shape[-1]} active columns of the Jacobian span no volume at "
                f"{int((sign <= 0).sum())} codes: leave collapsed units out by active"
            )
        both.append(log_det)
    return (both[0] - both[1]).to(z.dtype)


def check_active(active: Tensor | None, z: Tensor) -> Tensor:
    """The mask of units in use, (*code); raises unless there is one unit at least."""
    code = z.shape[1:]
    if active is None:
        return torch.ones(code, dtype=torch.bool, device=z.device)
    if not isinstance(active, Tensor) or active.dtype != torch.bool:
        kind = active.dtype if isinstance(active, Tensor) else type(active).__name__
        raise TypeError(f"active must be a bool tensor {tuple(code)}, got {kind}: see active_units")
    if active.shape != code or active.device != z.device:
        raise ValueError(
            f"active has shape {tuple(active.shape)} on {active.device}: it must be {tuple(code)}, "
            f"on {z.device}"
        )
    if not active.any():
        raise ValueError(
            "active names no unit in use: the VAE has collapsed, its codes say nothing of the "
            "data, and there is no manifold that could have a density; train with a smaller beta"
        )
    return active
