"""Kernels out of distances, and whether they are kernels at all."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from vae_course.arguments import check_finite, check_number, check_real, check_values, visible


class GramReport(NamedTuple):
    """What the eigenvalues of a Gram matrix say about its kernel."""

    smallest: float
    """The smallest eigenvalue."""
    largest: float
    """The largest eigenvalue."""
    negative: int
    """How many lie below minus the tolerance."""
    tolerance: float
    """What rounding alone can do, 4 N eps times the largest absolute eigenvalue."""

    @property
    def positive_definite(self) -> bool:
        """No negative eigenvalue beyond rounding, on these points."""
        return self.negative == 0


def pairwise_distances(
    distance: Callable[[Tensor, Tensor], Tensor],
    points: Float[Tensor, "N n n"],
    *,
    chunk: int = 4096,
) -> Float[Tensor, "N N"]:
    """All distances between matrices (N, n, n), symmetric with a zero diagonal.

    ``distance`` takes two batches and gives one number for each pair, as those of this package do;
    it sees each pair once, ``chunk`` of them at a time. Fix its other arguments with
    ``functools.partial``. ValueError for points that are not (N, n, n) or a wrong shape returned. A
    loop over parts: not for ``torch.func``, ``torch.compile`` or ``torch.export``.
    """
    if not callable(distance):
        raise TypeError(f"distance must be a callable, got {type(distance).__name__}")
    check_real("points", points, "N rows columns")
    check_finite(points=points)
    if points.shape[1] != points.shape[2] or check_number("chunk", chunk) not in range(1, 2**31):
        raise ValueError(
            f"points have shape {tuple(points.shape)}, chunk={chunk}; give (N, n, n), chunk >= 1"
        )
    rows, columns = torch.triu_indices(len(points), len(points), offset=1, device=points.device)
    matrix = points.new_zeros(len(points), len(points))
    if len(points) == 1:
        return matrix
    for i, j in zip(rows.split(chunk), columns.split(chunk), strict=True):
        values = distance(points[i], points[j])
        if values.shape != i.shape:
            raise ValueError(
                f"distance gave shape {tuple(values.shape)} for {len(i)} pairs; it must give one "
                "number for each pair"
            )
        matrix[i, j] = values
    return matrix + matrix.T


def gaussian_kernel(distances: Float[Tensor, "*shape"], gamma: float) -> Float[Tensor, "*shape"]:
    r"""The Gaussian of a distance.

    .. math:: k = \exp(-\gamma\, d^2)

    gamma > 0 in inverse squared units of the distance; 1 over the squared median is a start. It is
    a positive definite kernel for *every* gamma exactly if the distance embeds in a Hilbert
    space (``distance_gram``): log-Euclidean and projection distances do, affine-invariant and
    Bures distances do not. ValueError for gamma <= 0 or a distance that is negative or not finite.
    Source: Schoenberg 1938.
    """
    check_number("gamma", gamma, 0)
    check_real("distances", distances)
    check_values("distances", distances, lambda d: (d >= 0) & d.isfinite(), "finite and 0 or more")
    return (-gamma * distances.square()).exp()


def distance_gram(distances: Float[Tensor, "N N"]) -> Float[Tensor, "N N"]:
    r"""The inner products that points with these distances would have around their mean.

    .. math:: G = -\tfrac12 J D^{\circ 2} J, \qquad J = I - \tfrac1N \mathbf 1 \mathbf 1^\top

    Semi-definite exactly if the points embed in a Euclidean space with these distances. ValueError
    unless the distances are a finite symmetric matrix with a zero diagonal.
    Source: Schoenberg 1935; Torgerson 1952.
    """
    _check_gram(distances, "distances")
    if visible(distances) and distances.diagonal().any():
        raise ValueError("distances of points to themselves, on the diagonal, are 0")
    return -_centred(distances.square()) / 2


def centred_gram(gram: Float[Tensor, "N N"]) -> Float[Tensor, "N N"]:
    r"""The Gram matrix of the same points with their mean moved to the origin, J K J.

    ValueError unless gram is a finite matrix (N, N).
    """
    _check_square(gram, "gram")
    return _centred(gram)


def _centred(gram: Tensor) -> Tensor:
    return gram - gram.mean(0) - gram.mean(1, keepdim=True) + gram.mean()


def gram_report(gram: Float[Tensor, "N N"]) -> GramReport:
    """The eigenvalues of a Gram matrix, beyond what rounding explains.

    One negative eigenvalue refutes that the function is a positive definite kernel; none, on these
    points, proves nothing. In float64 whatever the dtype of gram. ValueError unless gram is a
    finite symmetric matrix (N, N). Numbers: not for ``torch.func``, ``torch.compile`` or
    ``torch.export``.
    """
    _check_gram(gram, "gram")
    values = torch.linalg.eigvalsh(gram.detach().double())
    eps = torch.finfo(gram.dtype).eps
    tolerance = 4 * len(gram) * eps * values.abs().max().item()
    negative = int((values < -tolerance).sum())
    return GramReport(values[0].item(), values[-1].item(), negative, tolerance)


def hilbert_coordinates(gram: Float[Tensor, "N N"]) -> Float[Tensor, "N r"]:
    r"""Points of a Euclidean space with the given inner products, one a row.

    .. math:: X X^\top = K, \qquad X = U \Lambda^{1/2}

    with as many columns as K has eigenvalues above rounding, largest first: a kernel's Hilbert
    space, as far as these points fill it, ready for ``principal_subspace``. In the dtype of gram.
    ValueError for a Gram matrix with a negative eigenvalue: such points live in no Hilbert space.
    The shape depends on the values: not for ``torch.func``, ``torch.compile`` or ``torch.export``.
    """
    report = _nonnegative(gram)
    values, vectors = torch.linalg.eigh((gram + gram.T).double() / 2)
    keep = values > report.tolerance
    points = vectors[:, keep] * values[keep].sqrt()
    return points.flip(1).to(gram.dtype)


def hilbert_dimension(gram: Float[Tensor, "N N"], *, energy: float = 0.99) -> Int64[Tensor, ""]:
    r"""How many directions of the Hilbert space carry the points' variance.

    .. math:: \min \Big\{ r : \sum_{i \le r} \lambda_i \ge e \sum_i \lambda_i \Big\}

    for the eigenvalues, largest first, of the centred Gram matrix of N points; for coordinates
    x (N, D) give ``x @ x.T``. Never more than N - 1, however many dimensions there are: a value
    near N - 1 measures the sample. Equal points have dimension 0. ``energy`` in (0, 1]; ValueError
    otherwise, or for a Gram matrix with a negative eigenvalue. In float64. A whole number: not for
    ``torch.func``, ``torch.compile`` or ``torch.export``.
    Source: Shrivastava et al. 2024, in the form of chapter 12.
    """
    if not 0 < check_number("energy", energy) <= 1:
        raise ValueError(f"energy={energy}: the share of the variance, in (0, 1]")
    report = _nonnegative(gram)
    values = torch.linalg.eigvalsh(_centred(gram.detach().double())).flip(0)
    values = torch.where(values > report.tolerance, values, 0.0)
    share = values.cumsum(0)
    # Rounding in the sum must not ask for one direction more.
    enough = energy * share[-1] * (1 - 1e-12)
    return (share < enough).sum() + (share[-1] > 0)


def _nonnegative(gram: Tensor) -> GramReport:
    report = gram_report(gram)
    if not report.positive_definite:
        raise ValueError(
            f"gram has {report.negative} negative eigenvalues, the smallest {report.smallest:.4g}: "
            "no points of a Hilbert space have these inner products; use a distance that embeds "
            "(log-Euclidean, projection)"
        )
    return report


def _check_square(gram: Tensor, name: str) -> None:
    check_real(name, gram)
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1]:
        raise ValueError(f"{name} has shape {tuple(gram.shape)}; give a square matrix (N, N)")
    check_finite(**{name: gram})


def _check_gram(gram: Tensor, name: str) -> None:
    _check_square(gram, name)
    if not visible(gram):
        return
    gap = (gram - gram.T).abs().max()
    if gap > torch.finfo(gram.dtype).eps ** 0.5 * gram.abs().max():
        raise ValueError(f"{name} is not symmetric: entries differ by {gap.item():.4g}")
