"""Codes on the sphere: what they cost, whether their laws differ, and whether they huddle."""

from scipy.special import gammaincc
from torch import Tensor

from vae_course.evaluation import Estimate
from vae_course.report.errors import jackknife
from vae_course.report.measures import Found, Unmeasured
from vae_course.report.study import Study


def sphere(study: Study) -> dict[str, Found]:
    r"""Rate, spread of the concentration over images, and Rayleigh's test of one draw an image.

    .. math:: \langle \mathrm{KL} \rangle, \qquad \mathrm{SD}(\log \kappa), \qquad
              N \|\bar z\|^2

    :math:`d N \|\bar z\|^2` is χ² with d degrees of freedom where directions are uniform.

    Raises ``Unmeasured`` where the encoder tells no rate, or for fewer than 3 images.
    Source: Mardia and Jupp 2000.
    """
    p = study.posterior
    if p.rate is None or p.concentration is None:
        raise Unmeasured("the encoder tells neither rate nor concentration")
    if study.n < 3:
        raise Unmeasured(f"{study.n} images: a spread over images takes 3")
    rate, log = p.rate.double(), p.concentration.double().clamp_min(1e-12).log()
    z = study.z.double()
    n, d = z.shape
    cost = Estimate.of(rate.tolist())

    def spread(kept: Tensor) -> float:
        return log[kept].std().item()

    moved, each = jackknife(n, spread)
    huddle = n * z.mean(0).square().sum().item()
    chance = float(gammaincc(d / 2, d * huddle / 2))
    return {
        "sphere_rate": Found(
            cost,
            f"a direction costs {cost.value:.3g} nats, give or take {rate.std():.2g} from image "
            "to image",
            None,
            rate,
        ),
        "concentration_spread": Found(
            moved,
            f"log κ differs from image to image by {moved.value:.2g}, the rate by "
            f"{rate.std():.2g} nats"
            + ("" if moved.value > 1e-3 else ": the head that gives κ is stuck"),
            0.0,
            each,
        ),
        "huddle": Found(
            huddle,
            f"the mean direction is {huddle**0.5:.2g} times as long as chance makes it; uniform "
            f"directions show more with probability {chance:.2g}",
            1.0,
        ),
    }
