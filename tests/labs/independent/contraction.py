"""Independent answers to the exercises of Part II (03, 04)."""

import itertools
import math

import numpy as np
import scipy.optimize
import scipy.spatial.distance
import scipy.stats
import sklearn.neighbors
import torch
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    Normal,
    kl_divergence,
)

from vae_course import distortion


def kl_forces(mu, log_sigma):
    mu, log_sigma = (t.detach().requires_grad_() for t in (mu, log_sigma))
    rate = kl_divergence(Normal(mu, log_sigma.exp()), Normal(0.0, 1.0))
    return torch.autograd.grad(-rate.sum(), (mu, log_sigma))


def rest(s, w, beta):
    # The posterior of a code N(0, 1) that is seen through s = w z + noise of variance beta / 2.
    gain = w / (w * w + beta / 2)
    return gain * s, math.sqrt(1 - gain * w)


def water_fill(eigenvalues, beta):
    filled = distortion.reverse_water_filling(torch.tensor(eigenvalues).double(), beta)
    return filled.rates.sum().item(), filled.distortion.item()


def walk(decode, classify, a, b, steps):
    points = np.linspace(a.numpy(), b.numpy(), steps + 1)
    return torch.stack([classify(decode(torch.from_numpy(z).to(a.dtype))) for z in points])


def purity(p, labels):
    named = [p[t, i].argmax() == labels[i] for t in range(1, len(p) - 1) for i in range(p.shape[1])]
    return float(np.mean(named))


def change(p):
    walks = p.double().numpy().transpose(1, 0, 2)
    cityblock = scipy.spatial.distance.cityblock
    steps = [[cityblock(u, v) / 2 for u, v in itertools.pairwise(points)] for points in walks]
    return float(np.mean(steps)), float(np.mean([max(pair) for pair in steps]))


def linear_vae(train, x, beta):
    # Posterior of probabilistic PCA with noise beta / 2, by Bayes' rule for matrices.
    mean, noise = train.numpy().mean(0), beta / 2
    _, singular, axes = np.linalg.svd(train.numpy() - mean, full_matrices=False)
    eigenvalues = singular[:8] ** 2 / (len(train) - 1)
    axes = axes[:8] * np.where(axes[:8].sum(1) < 0, -1, 1)[:, None]
    w = axes.T * np.sqrt(np.maximum(0, eigenvalues - noise))
    covariance = np.linalg.inv(np.eye(8) + w.T @ w / noise)
    mu = (x.numpy() - mean) @ w @ covariance / noise
    sigma = np.broadcast_to(np.sqrt(covariance.diagonal()), mu.shape)
    return torch.from_numpy(mu), torch.from_numpy(sigma.copy())


def knn_accuracy(codes, labels, test_codes, test_labels, k):
    vote = sklearn.neighbors.KNeighborsClassifier(k).fit(codes.numpy(), labels.numpy())
    return float(vote.score(test_codes.numpy(), test_labels.numpy()))


def blind_findings(names):
    def codes(images, noise, beta):
        mu, sigma = linear_vae(names["train"], images, beta)
        return mu, mu + sigma * noise

    pairs = {}
    for beta in names["betas"]:
        train = codes(names["train"], names["noise"], beta)
        test = codes(names["test"], names["test_noise"], beta)
        pairs[beta] = [
            knn_accuracy(a, names["labels"], b, names["test_labels"], 5)
            for a, b in zip(train, test, strict=True)
        ]
    worst = max(pairs, key=lambda beta: pairs[beta][0] - pairs[beta][1])
    return {"beta": worst, "centres": pairs[worst][0], "draws": pairs[worst][1]}


def overlap(mu1, sigma1, mu2, sigma2):
    # sqrt(q1 q2) is a constant times a normal density of the mean precision: compare at its top.
    q1, q2 = Normal(mu1.double(), sigma1.double()), Normal(mu2.double(), sigma2.double())
    precision = (q1.variance.reciprocal() + q2.variance.reciprocal()) / 2
    top = (q1.mean / q1.variance + q2.mean / q2.variance) / (2 * precision)
    peak = Normal(top, precision.rsqrt())
    each = (q1.log_prob(top) + q2.log_prob(top)) / 2 - peak.log_prob(top)
    return each.sum(1).exp()


def overlap_at(distance, sigma, d):
    mu = torch.zeros(1, d, dtype=torch.float64)
    mu[0, 0] = distance
    return overlap(0 * mu, 0 * mu + sigma, mu, 0 * mu + sigma).item()


def mean_overlap(sigma, d):
    unit = 2 * (1 - sigma**2) / (8 * sigma**2)
    return float(scipy.stats.chi2(d).expect(lambda s: math.exp(-unit * s), epsabs=0))


def surgery(mu, sigma, noise):
    z = mu + sigma * noise
    ball = Independent(Normal(mu, sigma), 1)
    mixture = MixtureSameFamily(Categorical(torch.ones(len(mu), dtype=mu.dtype)), ball)
    prior = Independent(Normal(torch.zeros_like(z), torch.ones_like(z)), 1)
    whole = mixture.log_prob(z)
    return (ball.log_prob(z) - whole).mean().item(), (whole - prior.log_prob(z)).mean().item()


def diagnose(mu, sigma):
    mu, sigma = mu.numpy(), sigma.numpy()
    if (mu**2 + sigma**2).mean() > 2:
        return "no pull"
    carrying = [j for j in range(mu.shape[1]) if mu[:, j].std() > 0.1]
    if not carrying:
        return "collapsed"
    return "no sampling" if any(sigma[:, j].mean() > 0.99 for j in carrying) else "healthy"


ANSWERS = {
    "forces": lambda names: {"kl_forces": kl_forces, "rest": rest},
    "water": lambda names: {
        "water_fill": water_fill,
        "collapse": lambda eigenvalues: 2.0 * sorted(eigenvalues)[-1],
        "price_of": lambda eigenvalues, rate: scipy.optimize.brentq(
            lambda beta: water_fill(eigenvalues, beta)[0] - rate, 1e-9, 2 * max(eigenvalues)
        ),
    },
    "walk": lambda names: {"walk": walk, "purity": purity, "change": change},
    "blind": lambda names: {
        "linear_vae": linear_vae,
        "knn_accuracy": knn_accuracy,
        "findings": blind_findings(names),
    },
    "pair": lambda names: {
        "overlap": overlap,
        "touching_overlap": lambda d: overlap_at(2 * 0.7 * math.sqrt(d), 0.7, d),
    },
    "crowd": lambda names: {
        "typical_overlap": lambda sigma, d: overlap_at(math.sqrt(2 * d * (1 - sigma**2)), sigma, d),
        "mean_overlap": mean_overlap,
        "touching_sigma": scipy.optimize.brentq(lambda s: 4 * s**2 - 2 * (1 - s**2), 0.1, 0.9),
    },
    "surgery": lambda names: {
        "surgery": surgery,
        "must_overlap": lambda rate, n: n > math.exp(rate),
        "least_gap": lambda rate, n: rate - min(rate, math.log(n)),
    },
    "forge": lambda names: {
        "fool_coverage": lambda n, d: (torch.full((n, d), 0.1), torch.full((n, d), 3.0)),
        "fool_information": lambda n, d: (
            torch.linspace(-900, -20, n)[:, None].repeat(1, d),
            torch.full((n, d), 1e-3),
        ),
        "diagnose": diagnose,
    },
}
