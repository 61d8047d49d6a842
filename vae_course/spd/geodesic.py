"""The shortest path between two covariance matrices, as each distance sees it."""

import torch
from jaxtyping import Float
from torch import Tensor

from vae_course.spd.distance import check_pair
from vae_course.spd.matrix_functions import definite, matrix_log, matrix_sqrt

METRICS = ("log_euclidean", "affine_invariant", "bures")


def geodesic(
    a: Float[Tensor, "n n"], b: Float[Tensor, "n n"], t: Float[Tensor, "T"], metric: str
) -> Float[Tensor, "T n n"]:
    r"""Points of the shortest path from A (t = 0) to B (t = 1), in proportion to the distance.

    .. math:: \begin{aligned}
              \text{log-Euclidean}&: \exp\big((1 - t) \log A + t \log B\big) \\
              \text{affine-invariant}&: A^{1/2} (A^{-1/2} B A^{-1/2})^t A^{1/2} \\
              \text{Bures}&: M_t A M_t, \quad M_t = (1 - t) I
              + t\, A^{-1/2} (A^{1/2} B A^{1/2})^{1/2} A^{-1/2}
              \end{aligned}

    ``metric`` is ``"log_euclidean"``, ``"affine_invariant"`` or ``"bures"``; A and B definite,
    except that Bures takes any semi-definite B and so reaches the boundary of the cone. For t
    outside [0, 1] the first two go on for ever; Bures meets the boundary and leaves the path.
    ValueError for another metric, or matrices as the metric's distance refuses them.
    Source: Arsigny et al. 2006; Pennec et al. 2006; Bhatia et al. 2019.
    """
    if metric not in METRICS:
        raise ValueError(f"metric={metric!r}: choose one of {METRICS}")
    check_pair(a, b)
    t = t[:, None, None].to(a)
    if metric == "log_euclidean":
        return _symmetric_exp((1 - t) * matrix_log(a, name="a") + t * matrix_log(b, name="b"))
    definite(_symmetrised(a), "a")
    root = matrix_sqrt(a)
    inverse = torch.linalg.inv(root)
    if metric == "affine_invariant":
        direction = matrix_log(_symmetrised(inverse @ b @ inverse), name="inverse(a) b")
        return _symmetrised(root @ _symmetric_exp(t * direction) @ root)
    transport = inverse @ matrix_sqrt(_symmetrised(root @ b @ root)) @ inverse
    mix = (1 - t) * torch.eye(len(a)).to(a) + t * transport
    return _symmetrised(mix @ a @ mix.mT)


def _symmetric_exp(s: Tensor) -> Tensor:
    return _symmetrised(torch.linalg.matrix_exp(s))


def _symmetrised(s: Tensor) -> Tensor:
    return (s + s.mT) / 2
