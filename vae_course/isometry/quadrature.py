"""The spectrum of a pull-back metric without the matrix: stochastic Lanczos quadrature."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad
from tqdm import tqdm

from vae_course.arguments import check_whole
from vae_course.isometry.decoder import Decoder, check_decoder
from vae_course.isometry.krylov import gauss_rule, krylov
from vae_course.isometry.metrics import Metric
from vae_course.isometry.operator import Mode, Pullback
from vae_course.isometry.parts import check_single, in_memory, parts
from vae_course.isometry.spectrum import Spectrum
from vae_course.spd.precision import full_precision

PATIENCE = 5  # seconds before a bar appears
NEGATIVE = 1e-4  # of the largest eigenvalue: down to minus that it is rounding


@full_precision
def spectrum(
    decoder: Decoder,
    z: Float[Tensor, "batch *code"],
    *,
    metric: Metric | Tensor | None = None,
    probes: int = 2,
    steps: int = 48,
    seed: int = 0,
    chunk: int | None = None,
    mode: Mode = "auto",
    progress: bool = True,
) -> Spectrum:
    r"""The spectra of the metrics that a decoder pulls back, at codes of any shape, matrix-free.

    From a random start at each code, Golub and Kahan's bidiagonalisation of J finds in k steps
    nodes and weights that integrate polynomials of degree 2k - 1 over the spectrum as that start
    sees it (Gauss's rule); the mean over starts is the trace. Nothing of size d² is made: 2 k
    products a probe, linear in d. Where all d columns of J cost no more, their singular values are
    taken instead, and the answer is exact.

    Args:
        decoder: as in ``jacobian``, and letting gradients through; attention, group norms and
            codes of any shape are fine.
        z: codes, (batch, \*code): the sample, so take them from data. Eight give intervals.
        metric: as in ``pullback_metric``. A quadratic form has no root to walk on: then it is
            Lanczos on :math:`J^\top G J`, which in float32 sees down to 1e-7 of the largest.
        probes: random starts at each code; 2 at least for what compares them, and with many codes
            no more.
        steps: k; see ``Spectrum.log_det`` for how many a floor needs.
        seed: of the starts.
        chunk: codes held at once; if None, as many as take about a gigabyte.
        mode: as in ``Pullback``.
        progress: show a bar when it takes more than a few seconds.

    Returns:
        ``Spectrum``, with ``log_det``, ``log_variance``, ``rate``, ``used`` and ``mean`` of any f,
        each an ``Estimate``.

    Raises:
        TypeError, ValueError: as ``Pullback``; for counts out of range, for codes in half
            precision, or for a metric that is not positive semidefinite.
        MemoryError: where the codes don't fit the memory; it says which chunk to take.

    A measure: not for ``torch.func``, ``torch.compile`` or ``torch.export``. float32: at a
    condition of 1e8, log det / d is within .01 of float64's from the same starts.

    Example:

    >>> import torch
    >>> from vae_course.isometry import spectrum
    >>> z = torch.randn(8, 4, 8, 8)
    >>> decoder = torch.nn.ConvTranspose2d(4, 3, 4, stride=4)
    >>> spectrum(decoder, z).log_det(floor=1e-3).n
    8

    Source: Golub and Meurant 1994; Ubaru, Chen and Saad 2017; the intervals are the course's.
    """
    check_decoder(decoder)
    check_single(z)
    probes, steps = check_whole("probes", probes), check_whole("steps", steps)
    d = z[0].numel()
    exact = d <= 2 * probes * steps
    steps = min(steps, d)
    pieces, size = parts(decoder, z.detach(), chunk, d if exact else 2 * steps)
    generator = torch.Generator("cpu").manual_seed(check_whole("seed", seed, 0))
    starts = torch.randn(probes, *z.shape, generator=generator, device="cpu").to(z)
    bar = tqdm(
        total=len(z),
        desc="spectrum",
        unit="code",
        disable=not progress,
        delay=PATIENCE,
        leave=False,
    )
    found, products = [], 0
    with bar, in_memory(size):
        for codes, of_part in zip(pieces, starts.tensor_split(len(pieces), 1), strict=True):
            pullback = Pullback(decoder, codes, metric, mode=mode)
            found.append(_all(pullback) if exact else _seen(pullback, of_part, steps))
            products += pullback.products * len(codes)
            del pullback  # its graphs, before the next ones are made
            bar.update(len(codes))
    nodes, weights, coarse_nodes, coarse_weights = (torch.cat(t) for t in zip(*found, strict=True))
    most = nodes.amax((1, 2), keepdim=True)
    if (nodes < -NEGATIVE * most).any():
        raise ValueError(
            f"metric has directions of negative length (eigenvalues down to {nodes.min():.3g}, up "
            f"to {nodes.max():.3g}): give a form that is positive semidefinite"
        )
    return Spectrum(
        nodes.clamp_min(0), weights, coarse_nodes.clamp_min(0), coarse_weights, d, exact, products
    )


def _all(pullback: Pullback) -> tuple[Tensor, ...]:
    """All eigenvalues at each code, each of weight 1/d: (batch, 1, d), and once more."""
    z = pullback.z
    columns = []
    for axis in torch.eye(z[0].numel(), dtype=z.dtype, device=z.device):
        columns.append(pullback.push(axis.view_as(z[0]).expand_as(z).contiguous()))
    stack = torch.stack(columns, 1)  # (batch, d, *output)
    if pullback.metric is None:
        values = torch.linalg.svdvals(stack.flatten(2).cpu().double()).square()
        missing = stack.shape[1] - values.shape[1]
        values = pad(values, (0, missing))
    else:
        weighted = torch.stack([pullback.weigh(column) for column in columns], 1)
        matrix = (stack.flatten(2) @ weighted.flatten(2).mT).cpu().double()
        values = torch.linalg.eigvalsh((matrix + matrix.mT) / 2)
    nodes = values[:, None]
    weights = torch.full_like(nodes, 1 / nodes.shape[2])
    return nodes, weights, nodes, weights


def _seen(pullback: Pullback, starts: Tensor, steps: int) -> tuple[Tensor, ...]:
    """Gauss's rule of each start (probes, batch, *code): nodes and weights, fine and coarse."""
    rules = []
    for start in starts:
        space = krylov(pullback, start, steps)
        fine = gauss_rule(space)
        nodes, weights = gauss_rule(space, math.ceil(2 * steps / 3))
        short = steps - nodes.shape[1]
        coarse = [pad(t, (0, short)) for t in (nodes, weights)]
        # Where the space has ended there is nothing left to truncate.
        ended = (space.beside == 0).any(1, keepdim=True).cpu()
        coarse = [c.where(~ended, f) for c, f in zip(coarse, fine, strict=True)]
        rules.append((*fine, *coarse))
    return tuple(torch.stack(t, 1) for t in zip(*rules, strict=True))
