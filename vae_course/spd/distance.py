r"""Distances between covariance matrices: what each calls near, and which matrices it takes.

All take (\*batch, n, n) and broadcast, return (\*batch) and are differentiable; where two matrices
coincide, where a distance has a corner, the gradient is 0. ``regularise`` adds that share of the
mean eigenvalue first (``regularised``); it is 0 unless you say so, and a singular matrix then
raises ValueError in the two distances that need definite ones. Values are looked at in eager mode
only; ``torch.func``, ``torch.compile`` and ``torch.export`` go through.
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vae_course.arguments import check_alike, check_broadcast
from vae_course.spd.divided import last
from vae_course.spd.matrix_functions import (
    definite,
    matrix_log,
    matrix_sqrt,
    range_projector,
    regularised,
    symmetric,
)
from vae_course.spd.precision import full_precision


@full_precision
def log_euclidean_distance(
    a: Float[Tensor, "*#batch n n"], b: Float[Tensor, "*#batch n n"], *, regularise: float = 0.0
) -> Float[Tensor, "*batch"]:
    r"""The Euclidean distance of the logarithms.

    .. math:: d(A, B) = \|\log A - \log B\|_F

    For definite matrices. An isometry onto the flat space of symmetric matrices
    (``log_euclidean_embedding``), so its Gaussian is a kernel for every width. Unchanged under
    inversion, rotation and scaling of both. float32: absolute error 2e-6 times the larger
    condition number. ValueError as in ``matrix_log``. Source: Arsigny, Fillard, Pennec and
    Ayache 2006.
    """
    check_pair(a, b)
    log_a, log_b = (
        matrix_log(s, regularise=regularise, name=name) for s, name in ((a, "a"), (b, "b"))
    )
    return torch.linalg.matrix_norm(log_a - log_b)


@full_precision
def affine_invariant_distance(
    a: Float[Tensor, "*#batch n n"], b: Float[Tensor, "*#batch n n"], *, regularise: float = 0.0
) -> Float[Tensor, "*batch"]:
    r"""The length of the shortest path that no change of basis alters.

    .. math:: d(A, B) = \|\log(A^{-1/2} B A^{-1/2})\|_F
              = \Big(\sum_i \log^2 \lambda_i(A^{-1} B)\Big)^{1/2}

    For definite matrices, and by a Cholesky factor of A in place of its root. Unchanged when both
    become :math:`G S G^\top`. The space is curved, so its Gaussian is not a kernel in general.
    float32: absolute error 4e-6 times the product of the condition numbers, at worst. ValueError
    as in ``matrix_log``. Source: Pennec, Fillard and Ayache 2006.
    """
    check_pair(a, b)
    a, b = (regularised(s, regularise, name) for s, name in ((a, "a"), (b, "b")))
    definite(a, "a"), definite(b, "b")
    low = torch.linalg.cholesky(a)
    half = torch.linalg.solve_triangular(low, b, upper=False)  # L^-1 B
    whitened = torch.linalg.solve_triangular(low, half.mT, upper=False)  # L^-1 B L^-T
    log = matrix_log((whitened + whitened.mT) / 2, name="inverse(a) b")
    return torch.linalg.matrix_norm(log)


@full_precision
def bures_distance(
    a: Float[Tensor, "*#batch n n"], b: Float[Tensor, "*#batch n n"]
) -> Float[Tensor, "*batch"]:
    r"""The 2-Wasserstein distance of the centred Gaussians with these covariances.

    .. math:: d^2(A, B) = \operatorname{tr} A + \operatorname{tr} B -
              2 \operatorname{tr}(A^{1/2} B A^{1/2})^{1/2}
              = \min_{Q^\top Q = I} \|A^{1/2} - B^{1/2} Q\|_F^2

    For semi-definite matrices, singular ones included: the only distance here that reaches the
    boundary of the cone. Computed as the minimum, in which nothing cancels. Differentiable once;
    at a singular matrix the gradient is the one along its rank, as in ``matrix_sqrt``. ValueError
    for a negative eigenvalue. float32: error 1e-5 of the root of the larger trace for definite
    matrices, 1e-3 for singular ones. Source: Bhatia, Jain and Lim 2019.
    """
    check_pair(a, b)
    root_a, root_b = matrix_sqrt(a, name="a"), matrix_sqrt(b, name="b")
    # The best Q moves the minimum only at second order.
    left, _, right = torch.linalg.svd(root_b.detach() @ root_a.detach())
    return torch.linalg.matrix_norm(_Once.apply(root_a - root_b @ left @ right))


@full_precision
def projection_distance(
    a: Float[Tensor, "*#batch n n"], b: Float[Tensor, "*#batch n n"], *, rank: int | None = None
) -> Float[Tensor, "*batch"]:
    r"""The distance of the spans of the leading eigenvectors, whatever the eigenvalues.

    .. math:: d(A, B) = \tfrac{1}{\sqrt 2} \|P_A - P_B\|_F

    with ``range_projector(s, rank)`` for P: without a rank, onto the ranges, so that any two
    definite matrices have distance 0. For spans of equal dimension it is the norm of the sines of
    the principal angles; if the dimensions differ by q, at least :math:`\sqrt{q / 2}`. Euclidean
    in P, so its Gaussian is a kernel. ValueError as in ``range_projector``. float32: error 1e-6 of
    the largest eigenvalue over the gap at the cut. Source: Edelman, Arias and Smith 1998.
    """
    check_pair(a, b)
    difference = range_projector(a, rank, name="a") - range_projector(b, rank, name="b")
    return torch.linalg.matrix_norm(difference) / math.sqrt(2)


@full_precision
def log_euclidean_embedding(
    s: Float[Tensor, "*batch n n"], *, regularise: float = 0.0
) -> Float[Tensor, "*batch d"]:
    r"""Coordinates in which the log-Euclidean distance is the ordinary one.

    .. math:: \Phi(S) = \big(\ell_{ii},\ \sqrt 2\, \ell_{ij}\big)_{i < j}, \qquad \ell = \log S

    n (n + 1) / 2 numbers, the diagonal first. Coordinates of several modes, concatenated, embed
    their product. ``regularise``, errors and float32 as in ``log_euclidean_distance``.
    """
    log = matrix_log(s, regularise=regularise)
    n = log.shape[-1]
    row, column = torch.triu_indices(n, n, offset=1, device=log.device)
    return torch.cat([log.diagonal(dim1=-2, dim2=-1), math.sqrt(2) * log[..., row, column]], -1)


def check_pair(a: Tensor, b: Tensor) -> None:
    """Raise unless a and b are square matrices of one size and dtype whose batches broadcast."""
    a, b = symmetric(a, "a"), symmetric(b, "b")
    check_alike(a=a, b=b)
    if a.shape[-1] != b.shape[-1]:
        raise ValueError(
            f"a has shape {tuple(a.shape)}, b {tuple(b.shape)}: give matrices of one size"
        )
    try:
        check_broadcast(a=a, b=b)
    except ValueError as error:
        raise ValueError(
            f"{error}: batch dimensions must broadcast; pairwise_distances compares all with all"
        ) from None


class _Once(torch.autograd.Function):
    """The identity, which refuses a second derivative where it would be silently wrong."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return last(gradient, ctx.saved_tensors[0])

    @staticmethod
    def jvp(ctx: Any, moves: Tensor) -> Tensor:
        return last(moves, ctx.saved_tensors[0])
