from vae_course.sphere.cauchy import SphericalCauchy as SphericalCauchy
from vae_course.sphere.cauchy_rate import (
    cauchy_kl as cauchy_kl,
    cauchy_mean_cosine as cauchy_mean_cosine,
)
from vae_course.sphere.coverage import Coverage as Coverage, coverage as coverage
from vae_course.sphere.geometry import (
    angle as angle,
    check_loc as check_loc,
    hyperbolic_distance as hyperbolic_distance,
    moebius as moebius,
    normalise as normalise,
    slerp as slerp,
    unit_sphere as unit_sphere,
)
from vae_course.sphere.law import SphericalLaw as SphericalLaw, log_area as log_area
from vae_course.sphere.matching import (
    FAMILIES as FAMILIES,
    check_family as check_family,
    from_stretch as from_stretch,
    matched as matched,
)
from vae_course.sphere.power_spherical import PowerSpherical as PowerSpherical
from vae_course.sphere.uniform import SphericalUniform as SphericalUniform
from vae_course.sphere.von_mises_fisher import VonMisesFisher as VonMisesFisher
