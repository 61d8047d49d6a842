from vae_course.distortion.adversarial import (
    Adversarial as Adversarial,
    SpectralConv2d as SpectralConv2d,
    hinge as hinge,
    patch_discriminator as patch_discriminator,
)
from vae_course.distortion.names import NAMED as NAMED, named as named
from vae_course.distortion.perceptual import (
    Feature as Feature,
    edge as edge,
    feature as feature,
    ssim as ssim,
)
from vae_course.distortion.pixel import (
    Distortion as Distortion,
    bernoulli as bernoulli,
    squared_error as squared_error,
)
from vae_course.distortion.pretrained import (
    imagenet_features as imagenet_features,
    perceptual as perceptual,
    untrained_features as untrained_features,
)
from vae_course.distortion.rate_distortion import (
    RateDistortion as RateDistortion,
    blahut_arimoto as blahut_arimoto,
)
from vae_course.distortion.realism import (
    realistic_beta_at_rate as realistic_beta_at_rate,
    realistic_water_filling as realistic_water_filling,
)
from vae_course.distortion.scale import (
    Combined as Combined,
    combine as combine,
    lipschitz_squared as lipschitz_squared,
    null_scale as null_scale,
)
from vae_course.distortion.spectrum import (
    mean_metric as mean_metric,
    metric_spectrum as metric_spectrum,
    participation_ratio as participation_ratio,
    posterior_anisotropy as posterior_anisotropy,
)
from vae_course.distortion.water_filling import (
    WaterFilling as WaterFilling,
    beta_at_rate as beta_at_rate,
    rate_at_beta as rate_at_beta,
    reverse_water_filling as reverse_water_filling,
)
