r"""Latent tensors as matrices: covariances of their modes, ranks, distances, kernels, angles.

An m x n x k latent, channels last, becomes three symmetric positive semi-definite matrices, points
on a product of strata. Matrices are (\*batch, n, n), float32 or float64, and are refused with a
ValueError that names the first bad one when they are not what a function needs.
"""

from vae_course.spd.angles import principal_angles, principal_subspace
from vae_course.spd.distance import (
    affine_invariant_distance,
    bures_distance,
    log_euclidean_distance,
    log_euclidean_embedding,
    projection_distance,
)
from vae_course.spd.geodesic import geodesic
from vae_course.spd.kernel import (
    GramReport,
    centred_gram,
    distance_gram,
    gaussian_kernel,
    gram_report,
    hilbert_coordinates,
    hilbert_dimension,
    pairwise_distances,
)
from vae_course.spd.matrix_functions import (
    matrix_log,
    matrix_sqrt,
    range_projector,
    regularised,
)
from vae_course.spd.tensor import (
    channels_last,
    mode_covariances,
    mode_singular_values,
    numerical_rank,
    rank_ceiling,
    stratum_dimension,
    unfold,
)

__all__ = [
    "channels_last",
    "unfold",
    "mode_covariances",
    "mode_singular_values",
    "numerical_rank",
    "rank_ceiling",
    "stratum_dimension",
    "matrix_log",
    "matrix_sqrt",
    "range_projector",
    "regularised",
    "log_euclidean_distance",
    "affine_invariant_distance",
    "bures_distance",
    "projection_distance",
    "log_euclidean_embedding",
    "geodesic",
    "pairwise_distances",
    "gaussian_kernel",
    "GramReport",
    "gram_report",
    "distance_gram",
    "centred_gram",
    "hilbert_coordinates",
    "hilbert_dimension",
    "principal_subspace",
    "principal_angles",
]
