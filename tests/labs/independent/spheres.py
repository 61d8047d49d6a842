"""Independent answers to the exercises of Part V on spheres (08, 09)."""

import functools
import itertools
import math
import statistics

import mpmath
import numpy as np
import scipy.integrate
import scipy.linalg
import scipy.optimize
import scipy.special
import scipy.stats
import torch
from torch.distributions import (
    kl_divergence,
)

from vae_course.sphere import SphericalCauchy


@functools.cache
def uniform_latitudes(d):
    # 1 + t, 1 - t and the weight of each latitude t of a uniform point.
    x, w = np.polynomial.legendre.leggauss(500)
    half = torch.from_numpy(math.pi / 4 * (x + 1))  # half the angle to mu
    weight = torch.from_numpy(w) * half.mul(2).sin() ** (d - 2)
    return 2 * half.cos() ** 2, 2 * half.sin() ** 2, weight / weight.sum()


def rate_by_quadrature(r, d):
    # The law is a uniform point moved: its log density, averaged over where the point came from.
    near, far, weight = uniform_latitudes(d)
    r = r.double()[:, None]
    return (d - 1) * ((r + ((near + far * (-2 * r).exp()) / 2).log()) @ weight)


def cosine_by_quadrature(r, d):
    near, far, weight = uniform_latitudes(d)
    far = far * (-2 * r.double()[:, None]).exp()
    return (near - far) / (near + far) @ weight


def angle_of_rate(rate, d):
    def excess(degrees):
        return -(d - 1) / 2 * math.log(math.sin(math.radians(degrees)) ** 2) - rate

    return scipy.optimize.brentq(excess, 1e-6, 90, xtol=1e-12)


def angle_between_draws(rate, d):
    # Mu is the pole, the draws lie on one circle of latitude, a quarter turn apart.
    latitude = math.radians(angle_of_rate(rate, d))
    draws = [
        [math.cos(latitude), 0, math.sin(latitude)],
        [math.cos(latitude), math.sin(latitude), 0],
    ]
    return math.degrees(math.acos(np.dot(*draws)))


def rate_from_pairs(y):
    products = [a @ b for a, b in itertools.combinations(y.numpy(), 2)]
    return -(y.shape[1] - 1) / 2 * math.log(1 - max(0.0, statistics.fmean(products)))


def standard_scores(t, kappa, d):
    nu = d / 2
    mean = scipy.special.ive(nu, kappa) / scipy.special.ive(nu - 1, kappa)
    # E t^2 from the third ratio of Bessel functions, not from the first.
    square = mean / kappa + scipy.special.ive(nu + 1, kappa) / scipy.special.ive(nu - 1, kappa)
    pairs = (t.numpy(), mean), (t.numpy() ** 2, square)
    return tuple(float(scipy.stats.ttest_1samp(*pair).statistic) for pair in pairs)


def sampler_verdict(draws):
    # The whole distribution function, not moments; of the wrong ones the thin spreads less.
    t = np.linspace(-1, 1, 20_001)[1:-1]
    density = np.exp(12 * t) * (1 - t**2) ** ((64 - 3) / 2)
    cdf = scipy.integrate.cumulative_trapezoid(density, t, initial=0)
    sample = {letter: by_setting[64, 12.0].numpy() for letter, by_setting in draws.items()}
    distance = {
        letter: scipy.stats.kstest(values, lambda x: np.interp(x, t, cdf / cdf[-1])).statistic
        for letter, values in sample.items()
    }
    order = sorted(sample, key=lambda letter: sample[letter].std())
    exact = min(distance, key=distance.get)
    thin, constant = (letter for letter in order if letter != exact)
    return {thin: "thin", constant: "constant", exact: "exact"}


def rotations(a, b, t):
    # The rotation in the plane of a and w, as the exponential of its generator.
    paths = torch.empty(len(t), *a.shape, dtype=torch.float64)
    for i, (start, end) in enumerate(zip(a.double().numpy(), b.double().numpy(), strict=True)):
        w = end - start * (start @ end)
        if np.linalg.norm(w) < 1e-6:
            w = scipy.linalg.null_space(start[None])[:, 0]
        w /= np.linalg.norm(w)
        angle = 2 * math.asin(min(1, np.linalg.norm(end - start) / 2))
        generator = angle * (np.outer(w, start) - np.outer(start, w))
        for j, fraction in enumerate(t.tolist()):
            paths[j, i] = torch.from_numpy(scipy.linalg.expm(fraction * generator) @ start)
    return paths.float()


def chord_time(theta, fraction):
    def excess(t):
        return np.angle(1 - t + t * np.exp(1j * theta)) - fraction * theta

    return scipy.optimize.brentq(excess, 0, 1, xtol=1e-13)


def distance_in_ball(mu1, r1, mu2, r2):
    # The textbook's inverse hyperbolic cosine, which needs digits: take fifty.
    def one(m1, s1, m2, s2):
        lengths = [mpmath.sqrt(mpmath.fdot(m, m)) for m in (m1, m2)]
        a, b = (
            [mpmath.tanh(mpmath.mpf(s) / 2) * x / n for x in m]
            for m, s, n in zip((m1, m2), (s1, s2), lengths, strict=True)
        )
        gap = sum((x - y) ** 2 for x, y in zip(a, b, strict=True))
        room = (1 - mpmath.fdot(a, a)) * (1 - mpmath.fdot(b, b))
        return float(mpmath.acosh(1 + 2 * gap / room))

    with mpmath.workdps(50):
        rows = zip(mu1.tolist(), r1.tolist(), mu2.tolist(), r2.tolist(), strict=True)
        return torch.tensor([one(*row) for row in rows], dtype=torch.float64)


def kl_over_latitudes(mu1, r1, mu2, r2):
    # Heights on S^2 are uniform: E log(cosh D + t sinh D), twice, as integral over t.
    def one(far):
        def log_stretch(t):
            return mpmath.log(mpmath.cosh(far) + t * mpmath.sinh(far))

        return float(mpmath.quad(log_stretch, [-1, -0.999, 0, 1]))

    with mpmath.workdps(30):
        return torch.tensor([one(far) for far in distance_in_ball(mu1, r1, mu2, r2).tolist()])


def searched_resolution(r, nats):
    def divergence(angle):
        turned = [math.cos(angle), math.sin(angle), 0]
        loc = torch.tensor([[1, 0, 0], turned], dtype=torch.float64)
        radius = torch.tensor(r, dtype=torch.float64)
        codes = [SphericalCauchy(mu, radius) for mu in loc]
        return kl_divergence(*codes).item() - nats

    if divergence(math.pi) < 0:
        return math.pi
    return scipy.optimize.brentq(divergence, 1e-9, math.pi, xtol=1e-13)


def gap_by_tree(codes, grid):
    chord = scipy.spatial.cKDTree(codes.numpy()).query(grid.numpy())[0]
    return grid[chord.argmax()], math.degrees(2 * math.asin(chord.max() / 2))


def share_above(score, null):
    return 1 - scipy.stats.percentileofscore([*null, score], score, kind="strict") / 100


def hole_findings(clouds):
    # Codes that a cap as empty as this one should hold.
    gaps = {letter: gap_by_tree(codes, random_directions()) for letter, codes in clouds.items()}
    missing = {
        letter: len(clouds[letter]) * (1 - math.cos(math.radians(angle))) / 2
        for letter, (_, angle) in gaps.items()
    }
    hole = max(missing, key=missing.get)
    return {"hole": hole, "centre": gaps[hole][0]}


def random_directions():
    return torch.nn.functional.normalize(
        torch.randn(20_000, 3, generator=torch.Generator().manual_seed(0)), dim=1
    )


def boosted(u, r):
    return torch.tanh(torch.atanh(u) + r)  # a move adds up in the line of rapidities


def log_density_ratio(t, r, d):
    # Change of variables, one latitude at a time.
    t = t.detach().requires_grad_()
    u = boosted(t, -r)
    (slope,) = torch.autograd.grad(u.sum(), t)
    return ((d - 3) / 2 * ((1 - u**2) / (1 - t**2)).log() + slope.log()).detach()


def rate_by_archimedes(r):
    with mpmath.workdps(60):
        r = mpmath.mpf(r)

        def log_shrinking(u):
            return mpmath.log(mpmath.cosh(r) + u * mpmath.sinh(r))

        return float(mpmath.quad(log_shrinking, [-1, -0.999, 0, 1]))


def share_of_cap(degrees, r):
    def density(t):
        return 1 / (2 * (math.cosh(r) - t * math.sinh(r)) ** 2)

    return scipy.integrate.quad(density, math.cos(math.radians(degrees)), 1)[0]


def between(rates, distortions, target):
    order = np.argsort(rates.numpy())
    return float(np.interp(target, rates.numpy()[order], distortions.numpy()[order]))


def paired_difference(a, b):
    return float((a - b).mean()), float(scipy.stats.sem((a - b).numpy()))


def coin(a, b):
    return float(scipy.stats.binomtest(int((a > b).sum()), len(a)).pvalue)


def winner(runs):
    def at_ten(family):
        return [between(*pair, 10.0) for pair in zip(*(x.T for x in runs[family]), strict=True)]

    def decide(sphere, gauss):
        ahead = [s < g for s, g in zip(sphere, gauss, strict=True)]
        return "sphere" if all(ahead) else "open" if any(ahead) else "Gauss"

    price = [runs[family][1][1].tolist() for family in ("sphere", "Gauss")]
    return {
        "equal price": decide(*price),
        "equal rate": decide(at_ten("sphere"), at_ten("Gauss")),
    }


ANSWERS = {
    "radius": lambda names: {"rate": rate_by_quadrature, "mean_cosine": cosine_by_quadrature},
    "ring": lambda names: {
        "ring_angle": angle_of_rate,
        "apart": angle_between_draws,
        "rate_from_draws": rate_from_pairs,
    },
    "moments": lambda names: {
        "bessel_ratio": lambda kappa, d: float(
            scipy.special.ive(d / 2, kappa) / scipy.special.ive(d / 2 - 1, kappa)
        ),
        "z_scores": standard_scores,
        "verdict": sampler_verdict(names["draws"]),
    },
    "arc": lambda names: {"slerp": rotations, "chord_time": chord_time},
    "disk": lambda names: {
        "distance": distance_in_ball,
        "kl": kl_over_latitudes,
        "resolution": searched_resolution,
    },
    "hole": lambda names: {
        "widest_gap": gap_by_tree,
        "p_value": share_above,
        "findings": hole_findings(names["clouds"]),
    },
    "stretched": lambda names: {
        "push": boosted,
        "pull": lambda t, r: boosted(t, -r),
        "log_ratio": log_density_ratio,
        "rate_3": rate_by_archimedes,
        "inside": share_of_cap,
    },
    "paired": lambda names: {
        "at_rate": between,
        "paired": paired_difference,
        "sign_p": coin,
        "verdict": winner(names["runs"]),
    },
}
