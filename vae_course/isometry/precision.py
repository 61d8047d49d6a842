"""The mean precision that a distortion gives to latents, free of how these are turned."""

import torch
from jaxtyping import Float
from torch import Tensor

from vae_course.arguments import check_finite, check_whole
from vae_course.distortion import Distortion, squared_error
from vae_course.isometry.decoder import Decoder, check_codes, check_decoder, decode
from vae_course.isometry.price import check_each
from vae_course.isometry.ruler import check_price
from vae_course.spd.precision import full_precision

LARGEST = 2**14  # numbers of a code: the matrix takes 2 GB in float64, its eigenvalues an hour


@full_precision
def precision_spectrum(
    decoder: Decoder,
    z: Float[Tensor, "batch *code"],
    beta: float,
    *,
    distortion: Distortion = squared_error,
    chunk: int = 512,
) -> Float[Tensor, "d"]:
    r"""Precisions along the principal axes of the latents' mean metric, descending.

    .. math:: \mathrm{eig}\Big(I + \frac2\beta\, \big\langle J_g^\top M J_g \big\rangle_z\Big),
              \qquad J_g^\top M J_g =
              \tfrac12\, \partial_{z'}^2 D\big(g(z), g(z')\big)\big|_{z' = z}

    The best ball has the precisions on the matrix's diagonal, and a diagonal depends on the axes:
    where all eigenvalues differ, turned latents can have equal balls. The eigenvalues don't turn.
    So their :math:`\mathrm{Var} \log`, the course's A_eig, is ``distortion.posterior_anisotropy``
    without the rotation: for a linear decoder with the best balls the two are equal if the latents
    lie along the axes. The curvature of the decoder itself is left out (Gauss-Newton).

    Args:
        decoder: as in ``jacobian``; here it must let gradients through, twice.
        z: codes over which the metric is averaged, the posteriors' centres usually; finite,
            (batch, d), or (batch, \*code) of d numbers each: 2^14 at most, for the matrix.
        beta: price of a nat in the distortion's unit, positive.
        distortion: (x, x_hat) -> (batch,), smallest at x_hat = x, with two derivatives.
        chunk: codes held at once.

    Raises as ``jacobian``; ValueError too for longer codes, a beta or chunk out of range, a
    distortion that is not (batch,) or blocks its second derivative, or a spectrum that is not
    finite.
    A measure: not for ``torch.func``, ``torch.compile`` or ``torch.export``. float32: relative
    error 1e-4 for precisions up to 1e4. Source: derived, chapter 11.
    """
    check_decoder(decoder)
    d = check_codes("z", z)[0].numel()
    if d > LARGEST:
        raise ValueError(
            f"z has codes of {d:,} numbers: their mean metric is {d:,} x {d:,}, "
            f"{8 * d**2 / 2**30:,.0f} GB in float64; take isometry.spectrum, which needs no matrix"
        )
    beta = check_price(beta)
    chunk = check_whole("chunk", chunk, 1)
    total = z.new_zeros(d, d, dtype=torch.float64, device="cpu")
    for codes in z.detach().split(chunk):
        total += _hessian(decoder, codes, distortion).cpu().double()  # on "mps" there is none
    metric = total / (4 * len(z))  # half, and symmetrised
    spectrum = 1 + 2 / beta * torch.linalg.eigvalsh(metric + metric.T).flip(0)
    check_finite(spectrum=spectrum)
    return spectrum.to(z.dtype).to(z.device)


def _hessian(decoder: Decoder, z: Tensor, distortion: Distortion) -> Tensor:
    """Second derivatives of D(g(z), g(z')) by z' at z' = z, summed over the codes: (d, d)."""
    with torch.no_grad():
        x = decode(decoder, z)
    with torch.enable_grad():
        z = z.clone().requires_grad_()
        value = distortion(x, decode(decoder, z))
        check_each(value, len(z))
        if value.requires_grad:
            (slope,) = torch.autograd.grad(value.sum(), z, create_graph=True)
            if slope.requires_grad:
                sums = slope.sum(0).flatten()
                rows = (torch.autograd.grad(s, z, retain_graph=True)[0] for s in sums)
                return torch.stack([row.sum(0).flatten() for row in rows])
    raise ValueError(
        "no second derivative of the distortion by z: the decoder or the distortion blocks it by "
        "no_grad or detach"
    )
