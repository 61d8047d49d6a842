"""The shortest path between two covariance matrices, as each distance sees it."""

import torch
from jaxtyping import Float
from torch import Tensor

from vae_course.arguments import check_finite, check_number, check_real
from vae_course.spd.distance import check_pair
from vae_course.spd.matrix_functions import definite, matrix_exp, matrix_log, matrix_sqrt
from vae_course.spd.precision import full_precision

METRICS = ("log_euclidean", "affine_invariant", "bures")


@full_precision
def geodesic(
    a: Float[Tensor, "*#batch n n"],
    b: Float[Tensor, "*#batch n n"],
    t: Float[Tensor, "*T"] | float,
    metric: str,
) -> Float[Tensor, "*T_and_batch n n"]:
    r"""Points of the shortest path from A (t = 0) to B (t = 1), in proportion to the distance.

    .. math:: \begin{aligned}
              \text{log-Euclidean}&: \exp\big((1 - t) \log A + t \log B\big) \\
              \text{affine-invariant}&: A^{1/2} (A^{-1/2} B A^{-1/2})^t A^{1/2} \\
              \text{Bures}&: M_t A M_t, \quad M_t = (1 - t) I
              + t\, A^{-1/2} (A^{1/2} B A^{1/2})^{1/2} A^{-1/2}
              \end{aligned}

    ``metric`` is ``"log_euclidean"``, ``"affine_invariant"`` or ``"bures"``; A and B definite,
    except that Bures takes any semi-definite B and so reaches the boundary of the cone. They may
    be batches that broadcast. t is a number, or a tensor of any shape, whose axes come first: one
    t (T,) for a batch (N, n, n) gives (T, N, n, n), which ``distance(a, path)`` takes as it is.
    For t outside [0, 1] the first two go on for ever; Bures meets the boundary and leaves the path.
    ValueError for another metric, or matrices as the metric's distance refuses them.
    Source: Arsigny et al. 2006; Pennec et al. 2006; Bhatia et al. 2019.
    """
    check_name(metric)
    check_pair(a, b)
    if isinstance(t, Tensor):
        check_real("t", t)
        check_finite(t=t)
        if t.device != a.device:
            raise ValueError(f"t is on {t.device} and a on {a.device}: give t.to(a)")
        t = t.to(a.dtype)[(..., *[None] * max(a.ndim, b.ndim))]
    else:
        t = check_number("t", t)
    a, b = symmetrised(a), symmetrised(b)
    if metric == "log_euclidean":
        return matrix_exp((1 - t) * matrix_log(a, name="a") + t * matrix_log(b, name="b"))
    definite(a, "a")
    root = matrix_sqrt(a)
    inverse = torch.linalg.inv(root)
    if metric == "affine_invariant":
        direction = matrix_log(symmetrised(inverse @ b @ inverse), name="inverse(a) b")
        return symmetrised(root @ matrix_exp(t * direction) @ root)
    transport = inverse @ matrix_sqrt(symmetrised(root @ b @ root), name="b") @ inverse
    mix = (1 - t) * torch.eye(a.shape[-1], dtype=a.dtype, device=a.device) + t * transport
    return symmetrised(mix @ a @ mix.mT)


def check_name(metric: object) -> None:
    """ValueError for a metric that has no geodesics here."""
    if metric not in METRICS:
        raise ValueError(f"metric={metric!r}: choose one of {METRICS}")


def symmetrised(s: Tensor) -> Tensor:
    """The symmetric part."""
    return (s + s.mT) / 2
