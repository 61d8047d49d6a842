"""Independent answers to the exercises of Part I (01, 02)."""

import math
import statistics

import numpy as np
import scipy.optimize
import scipy.spatial.distance
import scipy.stats
import torch
from torch.distributions import (
    Normal,
    kl_divergence,
)

from vae_course import evaluation
from vae_course.gaussian import convert_beta


def loss_terms(x, x_hat, mu, sigma, beta):
    rate = kl_divergence(Normal(mu, sigma), Normal(0.0, 1.0)).sum(-1)
    pairs = zip(x.tolist(), x_hat.tolist(), strict=True)
    distortion = torch.tensor([scipy.spatial.distance.sqeuclidean(a, b) for a, b in pairs])
    return distortion + beta * rate, distortion, rate


def our_beta(colleague_beta, pixels):
    summed = convert_beta(colleague_beta, source="mean", target="sum", event_size=pixels)
    return convert_beta(summed, source="half", target="sum", event_size=pixels)


def energy_distance(a, b, unbiased=False):
    def mean(p, q):
        return scipy.spatial.distance.cdist(p.numpy(), q.numpy()).mean()

    def inside(p):
        return mean(p, p) * len(p) / (len(p) - unbiased)

    return float(2 * mean(a, b) - inside(a) - inside(b))


def precision_recall(generated, reference, k):
    def covered(points, centres):
        hit = [False] * len(points)
        for i, centre in enumerate(centres):
            others = [math.dist(centre, other) for j, other in enumerate(centres) if j != i]
            radius = sorted(others)[k - 1]
            hit = [h or math.dist(p, centre) <= radius for h, p in zip(hit, points, strict=True)]
        return sum(hit) / len(hit)

    g, r = generated.tolist(), reference.tolist()
    return covered(g, r), covered(r, g)


def generate(decode, codes, noise):
    factor = np.linalg.cholesky(np.cov(codes.numpy(), rowvar=False))
    draws = [codes.numpy().mean(0) + factor @ row for row in noise.numpy()]
    return decode(torch.from_numpy(np.stack(draws)))


def findings(names):
    decode, noise, test = names["decode"], names["noise"], names["test"]
    energies = {c: energy_distance(decode(noise / c), test, unbiased=True) for c in names["scales"]}
    best = min(energies, key=energies.get)
    fitted = energy_distance(generate(decode, names["codes"], noise), test, unbiased=True)
    return {"best_scale": best, "energy_best": energies[best], "energy_fitted": fitted}


def fools(names, which):
    pairs = {
        name: evaluation.precision_recall(sample, names["reference"], k=3)
        for name, sample in names["models"].items()
    }
    return max(pairs, key=lambda name: pairs[name][which])


def ratio_of_loops(decode, x, mu, sigma, eps):
    def error(image, z):
        return sum((a - b) ** 2 for a, b in zip(image, decode(z).tolist(), strict=True))

    rows = range(len(x))
    drawn = [error(x[i].tolist(), mu[i] + sigma[i] * e[i]) for e in eps for i in rows]
    centred = [error(x[i].tolist(), mu[i]) for i in rows]
    return statistics.fmean(drawn) / statistics.fmean(centred)


def error_over_signs(W, b, x, mu, sigma):
    # Signs have mean 0 and variance 1: their mean over all corners is exact, without the formula.
    corners = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=W.dtype)] * W.shape[1])
    z = mu + sigma * corners.reshape(-1, 1, W.shape[1])
    return (x - z @ W.T - b).square().sum(2).mean(0)


def searched_scale(W, mu, sigma, beta):
    W, mu, sigma, nothing = W.double(), mu.double(), sigma.double(), torch.zeros(len(W)).double()

    def loss(log_c):
        c = math.exp(log_c)
        pull = kl_divergence(Normal(c * mu, sigma), Normal(0 * mu, sigma / sigma)).sum(1).mean()
        fine = error_over_signs(W / c, nothing, 0 * mu @ W.T, 0 * mu, sigma).mean()
        return float(fine + beta * pull)

    return math.exp(scipy.optimize.minimize_scalar(loss, bracket=(-1, 1), tol=1e-12).x)


def by_density(f, mu, sigma, eps):
    def one(e):
        z = (mu + sigma * e).unsqueeze(0)

        def log_density(m, s):
            return Normal(m, s).log_prob(z).sum()

        return [f(z) * g for g in torch.autograd.functional.jacobian(log_density, (mu, sigma))]

    return tuple(map(torch.stack, zip(*map(one, eps), strict=True)))


def by_path(f, mu, sigma, eps):
    def one(e):
        def value(m, s):
            return f((m + s * e).unsqueeze(0)).sum()

        return torch.autograd.functional.jacobian(value, (mu, sigma))

    return tuple(map(torch.stack, zip(*map(one, eps), strict=True)))


def diagnosis(names):
    x, eps = names["x"].numpy(), names["eps"].numpy()
    error, report = {}, {}
    for name, (mu, sigma, decode) in names["models"].items():

        def at(t, mu=mu, sigma=sigma, decode=decode):
            return float(
                ((x - decode(mu + t * sigma * torch.from_numpy(eps)).numpy()) ** 2).mean(-1).mean()
            )

        error[name] = at
        report[name] = at(1) / at(0), float(np.std(mu.numpy(), axis=0, ddof=1).mean())
    by_spread = sorted(report, key=lambda name: report[name][1])
    titles = ("KL without sampling", "VAE", "sampling without the pull")
    at = error[by_spread[1]]
    reach = scipy.optimize.brentq(lambda t: at(t) - 2 * at(0), 1, 10)
    return {"report": report, "verdict": dict(zip(by_spread, titles, strict=True)), "reach": reach}


ANSWERS = {
    "price": lambda names: {"loss_terms": loss_terms, "our_beta": our_beta},
    "bubble": lambda names: {
        "mean_radius": lambda d, sigma: float(scipy.stats.chi(d, scale=sigma).mean()),
        "share_inside": lambda r, d, sigma: float(scipy.stats.chi(d, scale=sigma).cdf(r)),
        "empty_core": next(
            d for d in range(1, 99) if scipy.stats.chi(d).cdf(math.sqrt(d) / 2) < 1e-6
        ),
    },
    "judges": lambda names: {
        "energy_distance": energy_distance,
        "precision_recall": precision_recall,
        "fools_precision": fools(names, 0),
        "fools_recall": fools(names, 1),
    },
    "generate": lambda names: {
        "rescale": lambda encode, decode, c: (lambda x: encode(x) * c, lambda z: decode(z / c)),
        "generate": generate,
        "findings": findings(names),
    },
    "contract_ratio": lambda names: {
        "resample": lambda mu, sigma, eps: torch.addcmul(mu, sigma, eps),
        "contract_ratio": ratio_of_loops,
    },
    "fine": lambda names: {"expected_error": error_over_signs, "best_scale": searched_scale},
    "estimators": lambda names: {
        "pathwise": by_path,
        "score": by_density,
        "baseline": lambda v: torch.stack(
            [v[torch.arange(len(v)) != i].mean() for i in range(len(v))]
        ),
    },
    "broken": diagnosis,
}
