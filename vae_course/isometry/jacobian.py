"""The decoder's Jacobian and the metric it pulls back, in forward mode."""

import functools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vae_course.isometry.metrics import Metric, apply_metric

Decoder = Callable[[Tensor], Tensor]


def jacobian(
    decoder: Decoder, z: Float[Tensor, "batch d"], *, chunk: int = 2**10
) -> Float[Tensor, "batch *output d"]:
    r"""Derivatives of the decoder's output by the latents, at each code of a batch.

    .. math:: J_j = \frac{\partial \hat x}{\partial z_j}

    In forward mode, one pass a latent and none an output: codes are short and images are long.
    Results carry no gradient of their own; z and the decoder's gradients stay as they are.

    Args:
        decoder: a callable or module from (batch, d) to (batch, \*output) whose rows do not depend
            on each other. Batch normalisation in training mode breaks that, as dropout breaks
            repeatability: for modules (and their methods) both are refused; in ``eval()`` they
            are fine. Gradients need not be recorded: a ``no_grad`` inside it does no harm.
        z: codes, finite, in the decoder's dtype and on its device.
        chunk: (code, latent) pairs pushed through at once, which bounds the memory: about
            4 bytes (float32) x chunk x (widest layer + output).

    Raises:
        TypeError: For codes that are not floating-point numbers.
        ValueError: For codes of another shape or not finite, a decoder in training mode (see
            there) or whose output is not (batch, \*output), or a Jacobian that is not finite.

    float32: as accurate as the decoder itself, 1e-5 of the largest entry for the course's networks.
    Source: chain rule; forward mode is derived in chapter 06.
    """
    columns = torch.cat([columns for columns, _ in _pushed(decoder, z, chunk)], 1)
    return columns.movedim(0, -1)


def pullback_metric(
    decoder: Decoder,
    z: Float[Tensor, "batch d"],
    metric: Metric | Tensor | None = None,
    *,
    chunk: int = 2**10,
) -> Float[Tensor, "batch d d"]:
    r"""What squared length a small latent step has in data space: a d x d matrix for each code.

    .. math:: M(z) = J^\top G_{\hat x}\, J, \qquad
              D(\hat x, \hat x + J\,\mathrm dz) \simeq \mathrm dz^\top M\, \mathrm dz

    Args:
        decoder: as in ``jacobian``, and with its restrictions.
        z: codes, (batch, d).
        metric: the quadratic form G of the distortion at the decoded point. None: the identity,
            for squared error. A callable ``metric(x, v)`` returns :math:`G_x v` for points x
            (batch, \*output) and stacks of tangent vectors v (k, batch, \*output), for instance
            ``metric_bce``, ``metric_ssim`` or ``metric_scaled(weight)``. A tensor (m, m) is a
            constant G on the m flattened outputs.
        chunk: as in ``jacobian``; no more than a chunk of Jacobians is ever held.

    Symmetric and positive semidefinite to rounding when G is. Raises and accuracy as ``jacobian``;
    ValueError too for a metric that returns another shape or what is not finite.
    Source: Nakagawa, Kato, Suzuki 2021; derived in chapter 06.
    """
    blocks = []
    for columns, x in _pushed(decoder, z, chunk):  # (d, rows, *output), (rows, *output)
        weighted = apply_metric(metric, x, columns)
        a, b = columns.flatten(2).transpose(0, 1), weighted.flatten(2).transpose(0, 1)
        blocks.append(a @ b.mT)  # (rows, d, m) @ (rows, m, d)
    return torch.cat(blocks)


def check_codes(z: Tensor, name: str = "z") -> None:
    """Raises unless z is (batch, d), floating-point, finite, with at least one row and column."""
    if not z.is_floating_point():
        raise TypeError(f"{name} must be a floating-point tensor, got {z.dtype}")
    if z.ndim != 2 or 0 in z.shape:
        raise ValueError(f"{name} has shape {tuple(z.shape)}: codes are (batch, d), none of them 0")
    if not z.isfinite().all():
        raise ValueError(f"{name} must be finite, got {z[~z.isfinite()][0].item()}")


def check_decoder(decoder: Decoder) -> None:
    """Raises for a module, or a method of one, that mixes the rows of a batch or draws at random.

    Such layers would also be changed by a look at them: running means, random state.
    """
    module = getattr(decoder, "__self__", decoder)
    for name, layer in module.named_modules() if isinstance(module, nn.Module) else ():
        mixing = nn.modules.batchnorm._BatchNorm | nn.modules.dropout._DropoutNd
        if isinstance(layer, mixing) and layer.training:
            raise ValueError(
                f"decoder holds {type(layer).__name__} ({name!r}) in training mode, so that its "
                "output is not a function of one code; call decoder.eval() first"
            )


@functools.cache
def _load_forward_mode() -> None:
    # The first use of forward mode lets PyTorch script decompositions, which PyTorch 2.13 itself
    # calls deprecated: nothing its users can do about.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.func.jvp(torch.sin, (torch.zeros(1),), (torch.ones(1),))


def _pushed(decoder: Decoder, z: Tensor, chunk: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Chunk by chunk of codes: (d, rows, *output) columns of the Jacobian, (rows, *output)."""
    check_codes(z)
    check_decoder(decoder)
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, got {chunk}")
    _load_forward_mode()
    d = z.shape[1]
    axes = torch.eye(d, dtype=z.dtype, device=z.device)
    once: Any = (0, None)  # the decoded point is the same for all directions: not batched
    for rows in z.detach().split(max(1, chunk // d)):

        def push(direction: Tensor, rows: Tensor = rows) -> tuple[Tensor, Tensor]:
            x, column = torch.func.jvp(decoder, (rows,), (direction.expand_as(rows),))[:2]
            if x.ndim < 2 or len(x) != len(rows):
                raise ValueError(
                    f"decoder gave shape {tuple(x.shape)} for codes {tuple(rows.shape)}; it must "
                    "map (batch, d) to (batch, *output)"
                )
            return column, x

        with torch.no_grad():  # forward mode needs no graph
            pushed = [torch.func.vmap(push, out_dims=once)(block) for block in axes.split(chunk)]
            columns, x = torch.cat([columns for columns, _ in pushed]), pushed[0][1]
        # The sum is a cheap witness; it may also overflow by itself.
        if not columns.sum().isfinite() and not columns.isfinite().all():
            raise ValueError(
                "the decoder's Jacobian is not finite: look at its weights, and at where its "
                "functions have no derivative"
            )
        yield columns.detach(), x.detach()
