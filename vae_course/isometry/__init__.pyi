from vae_course.isometry.bend import bend as bend, curvature as curvature
from vae_course.isometry.decoder import Decoder as Decoder
from vae_course.isometry.density import (
    log_density as log_density,
    tangent_log_det as tangent_log_det,
)
from vae_course.isometry.geodesic import Geodesic as Geodesic, geodesic as geodesic
from vae_course.isometry.jacobian import (
    jacobian as jacobian,
    pullback_metric as pullback_metric,
)
from vae_course.isometry.metrics import (
    Metric as Metric,
    metric_bce as metric_bce,
    metric_logits as metric_logits,
    metric_scaled as metric_scaled,
    metric_ssim as metric_ssim,
    ssim_distortion as ssim_distortion,
)
from vae_course.isometry.operator import Pullback as Pullback
from vae_course.isometry.precision import precision_spectrum as precision_spectrum
from vae_course.isometry.price import (
    Price as Price,
    effective_price as effective_price,
    price_isometricity as price_isometricity,
)
from vae_course.isometry.probes import (
    Eigen as Eigen,
    diagonal as diagonal,
    largest as largest,
    trace as trace,
)
from vae_course.isometry.quadrature import spectrum as spectrum
from vae_course.isometry.ruler import (
    Importance as Importance,
    active_units as active_units,
    importance as importance,
    isometric_coordinates as isometric_coordinates,
    isometricity as isometricity,
)
from vae_course.isometry.spectrum import Spectrum as Spectrum
