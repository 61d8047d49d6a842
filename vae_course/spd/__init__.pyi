from vae_course.spd.angles import (
    principal_angles as principal_angles,
    principal_subspace as principal_subspace,
)
from vae_course.spd.distance import (
    affine_invariant_distance as affine_invariant_distance,
    bures_distance as bures_distance,
    log_euclidean_distance as log_euclidean_distance,
    log_euclidean_embedding as log_euclidean_embedding,
    projection_distance as projection_distance,
)
from vae_course.spd.geodesic import geodesic as geodesic
from vae_course.spd.kernel import (
    GramReport as GramReport,
    centred_gram as centred_gram,
    distance_gram as distance_gram,
    gaussian_kernel as gaussian_kernel,
    gram_report as gram_report,
    hilbert_coordinates as hilbert_coordinates,
    hilbert_dimension as hilbert_dimension,
    pairwise_distances as pairwise_distances,
)
from vae_course.spd.matrix_functions import (
    matrix_exp as matrix_exp,
    matrix_log as matrix_log,
    matrix_sqrt as matrix_sqrt,
    range_projector as range_projector,
    regularised as regularised,
)
from vae_course.spd.mean import mean as mean
from vae_course.spd.tensor import (
    channels_last as channels_last,
    mode_covariances as mode_covariances,
    mode_singular_values as mode_singular_values,
    numerical_rank as numerical_rank,
    rank_ceiling as rank_ceiling,
    stratum_dimension as stratum_dimension,
    unfold as unfold,
)
