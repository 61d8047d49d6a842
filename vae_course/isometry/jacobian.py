"""The decoder's Jacobian and the metric it pulls back, in forward mode."""

from jaxtyping import Float
from torch import Tensor

from vae_course.arguments import check_whole, visible
from vae_course.isometry.decoder import Decoder, check_codes, check_decoder
from vae_course.isometry.forward_mode import in_blocks, joined, pushed
from vae_course.isometry.metrics import Metric, apply_metric
from vae_course.spd.precision import full_precision

SHORT = 2**8  # latents: the products of so many columns cost less than pushing them


@full_precision
def jacobian(
    decoder: Decoder, z: Float[Tensor, "batch *code"], *, chunk: int | None = None
) -> Float[Tensor, "batch *output_and_code"]:
    r"""Derivatives of the decoder's output by the latents, at each code of a batch.

    .. math:: J_j = \frac{\partial \hat x}{\partial z_j}

    (batch, \*output, d), or (batch, \*output, \*code) for codes of another shape. In forward mode,
    one pass a latent and none an output: codes are short and images are long. Results carry no
    gradient of their own; z and the decoder's gradients stay as they are.

    Args:
        decoder: a callable or module from (batch, d), or (batch, \*code), to one tensor
            (batch, \*output) whose rows do not depend on each other. Batch normalisation in
            training mode breaks that, as dropout breaks repeatability: for modules (and their
            methods) both are refused; in ``eval()`` they are fine. Gradients need not be recorded:
            a ``no_grad`` inside it does no harm. Attention runs by its plain formula.
        z: codes, finite, in the decoder's dtype and on its device.
        chunk: (code, latent) pairs pushed through at once, which bounds the memory: about
            4 bytes (float32) x chunk x (widest layer + output). If None, as many as make 16 MB of
            the widest layer, which one code's pass finds; from 256 (fewer beyond 1 GB) to 8,192.

    Raises:
        TypeError: For codes that are no tensor of floating-point numbers, a decoder that can't be
            called or gives anything but a tensor of them (then wrap it:
            ``lambda z: decoder(z).sample``).
        ValueError: For codes of another shape or not finite, of another dtype or device than the
            decoder's, a decoder in training mode (see there), with an operation that has no
            forward mode, or whose output is not (batch, \*output), or a Jacobian that is not
            finite, or takes more than 64 GB a code.

    In the dtype of z under autocast too; not for ``torch.func``, ``torch.compile`` or
    ``torch.export``.
    float32: as accurate as the decoder itself, 1e-5 of the largest entry for the course's networks.
    Source: chain rule; forward mode is derived in chapter 06.
    """
    chunk = _check(decoder, z, chunk)
    parts = []
    for columns, _ in pushed(decoder, z, chunk):
        # The sum is a cheap witness; it may also overflow by itself.
        if visible(columns) and not columns.sum().isfinite():
            _check_finite(columns)
        parts.append(columns)
    columns = joined(parts, 1)
    return columns.movedim(0, -1).unflatten(-1, z.shape[1:])


@full_precision
def pullback_metric(
    decoder: Decoder,
    z: Float[Tensor, "batch *code"],
    metric: Metric | Tensor | None = None,
    *,
    chunk: int | None = None,
) -> Float[Tensor, "batch d d"]:
    r"""What squared length a small latent step has in data space: a d x d matrix for each code.

    .. math:: M(z) = J^\top G_{\hat x}\, J, \qquad
              D(\hat x, \hat x + J\,\mathrm dz) \simeq \mathrm dz^\top M\, \mathrm dz

    Args:
        decoder: as in ``jacobian``, and with its restrictions.
        z: codes, (batch, d), or (batch, \*code) of d numbers each, in the order of ``flatten``.
        metric: the quadratic form G of the distortion at the decoded point. None: the identity,
            for squared error. A callable ``metric(x, v)`` returns :math:`G_x v` for points x
            (batch, \*output) and stacks of tangent vectors v (k, batch, \*output), for instance
            ``metric_bce``, ``metric_ssim`` or ``metric_scaled(weight)``. A tensor (m, m) is a
            constant G on the m flattened outputs.
        chunk: as in ``jacobian``; no more than a chunk of Jacobians is ever held.

    Symmetric and positive semidefinite to rounding when G is. For codes of thousands of numbers
    take ``spectrum``, ``largest``, ``trace`` or ``diagonal``: they make no matrix. Raises and
    accuracy as ``jacobian``, and like it not for ``torch.func``, ``torch.compile`` or
    ``torch.export``; ValueError too for a metric that returns another shape or what is not finite,
    a Jacobian beyond 64 GB a code, or a result that overflows, TypeError
    for what is no metric. Source: Nakagawa, Kato, Suzuki 2021; derived in chapter 06.
    """
    chunk = _check(decoder, z, chunk)
    blocks = []
    for columns, x in pushed(decoder, z, chunk):  # (d, rows, *output), (rows, *output)
        weighted = apply_metric(metric, x, columns)
        a, b = columns.flatten(2).transpose(0, 1), weighted.flatten(2).transpose(0, 1)
        block = a @ b.mT  # (rows, d, m) @ (rows, m, d)
        _check_products(block, columns, weighted)
        blocks.append(block)
    return joined(blocks)


@full_precision
def squared_lengths(
    decoder: Decoder,
    z: Float[Tensor, "batch *code"],
    metric: Metric | Tensor | None = None,
    *,
    chunk: int | None = None,
) -> Float[Tensor, "batch *code"]:
    """The pull-back metric's diagonal alone; of long codes without the matrix, and with no more
    columns than a chunk at once."""
    if check_codes("z", z)[0].numel() <= SHORT:
        matrix = pullback_metric(decoder, z, metric, chunk=chunk)
        return matrix.diagonal(dim1=1, dim2=2).unflatten(1, z.shape[1:])
    chunk = _check(decoder, z, chunk)
    parts = []
    for blocks in in_blocks(decoder, z, chunk):
        along = []
        for columns, x in blocks:  # (k, rows, *output), (rows, *output)
            weighted = apply_metric(metric, x, columns)
            along.append((columns * weighted).flatten(2).sum(2))
            _check_products(along[-1], columns, weighted)
        parts.append(joined(along).T)
    return joined(parts).unflatten(1, z.shape[1:])


def _check_products(products: Tensor, columns: Tensor, weighted: Tensor) -> None:
    """ValueError where products of columns with weighted ones are not finite, with the cause."""
    if visible(products) and not products.isfinite().all():
        _check_finite(columns)
        if not weighted.isfinite().all():
            raise ValueError("metric gave values that are not finite")
        raise ValueError(
            f"the pull-back metric overflows {products.dtype}: give codes and decoder in float64"
        )


def _check(decoder: Decoder, z: Tensor, chunk: int | None) -> int | None:
    check_codes("z", z)
    check_decoder(decoder)
    return None if chunk is None else check_whole("chunk", chunk, 1)


def _check_finite(columns: Tensor) -> None:
    if not columns.isfinite().all():
        raise ValueError(
            "the decoder's Jacobian is not finite: look at its weights, and at where its functions "
            "have no derivative"
        )
