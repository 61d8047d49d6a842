r"""The decoder's geometry: lengths, densities and shortest paths, in the data's own units.

For any decoder: a callable or module from codes (batch, d) to (batch, \*output) whose rows do not
depend on each other. ``D`` is the distortion, ``L = D + beta * KL`` the objective, so β/2 is the
decoder's variance for squared error. Nothing here changes its inputs or records gradients.
"""

from vae_course.isometry.density import log_density, tangent_log_det
from vae_course.isometry.geodesic import Geodesic, geodesic
from vae_course.isometry.jacobian import Decoder, jacobian, pullback_metric
from vae_course.isometry.metrics import (
    Metric,
    metric_bce,
    metric_logits,
    metric_scaled,
    metric_ssim,
    ssim_distortion,
)
from vae_course.isometry.ruler import (
    Importance,
    active_units,
    importance,
    isometric_coordinates,
    isometricity,
    price_isometricity,
)

__all__ = [
    "Decoder",
    "jacobian",
    "pullback_metric",
    "Metric",
    "metric_bce",
    "metric_logits",
    "metric_scaled",
    "metric_ssim",
    "ssim_distortion",
    "isometricity",
    "price_isometricity",
    "isometric_coordinates",
    "Importance",
    "importance",
    "active_units",
    "log_density",
    "tangent_log_det",
    "Geodesic",
    "geodesic",
]
