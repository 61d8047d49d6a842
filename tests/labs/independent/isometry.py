"""Independent answers to the exercises of Part IV (06, 07)."""

import math
import statistics

import numpy as np
import scipy.integrate
import scipy.optimize
import scipy.spatial.distance
import scipy.stats
import torch
from torch.distributions import (
    Normal,
    kl_divergence,
)

from vae_course import isometry


def lengths_in_the_library(jacobian, sigma, beta, metric):
    rows = [
        isometry.isometricity(
            lambda z, j=j: z @ j.T, torch.zeros_like(s)[None], s[None], beta, metric
        )
        for j, s in zip(jacobian, sigma, strict=True)
    ]
    return torch.cat(rows)


def searched_sigma(jacobian, beta):
    def best(length):
        def loss(log_sigma):
            variance = math.exp(2 * log_sigma)
            return variance * length**2 + beta * (variance / 2 - log_sigma)

        found = scipy.optimize.minimize_scalar(loss, (-2, 0), tol=1e-12)
        return math.exp(found.x)

    lengths = np.linalg.norm(jacobian.numpy(), axis=1)
    return torch.from_numpy(np.vectorize(best)(lengths))


def straighten(mu, sigma, beta):
    columns = []
    for m, s in zip(mu.T.numpy(), sigma.T.numpy(), strict=True):
        knots = np.sort(m)
        ruler = np.interp(knots, knots, (beta / 2) ** 0.5 / s[np.argsort(m)])
        y = scipy.integrate.cumulative_trapezoid(ruler, knots, initial=0)
        columns.append([y[list(knots).index(value)] - y.mean() for value in m])
    return torch.tensor(np.array(columns).T)


def stretch(mu, sigma, beta):
    return [max(column) / min(column) for column in sigma.T.tolist()]


def poincare(pdf, low, high):
    # Over z: g is found by inverting the distribution function, g' by differences.
    y = np.linspace(low, high, 400_001)
    p = pdf(torch.from_numpy(y)).numpy()
    cdf = scipy.integrate.cumulative_trapezoid(p, y, initial=0)
    z = np.linspace(-6, 6, 6001)
    g = np.interp(scipy.stats.norm.cdf(z), cdf, y)
    weight = scipy.stats.norm.pdf(z)
    mean = np.trapezoid(weight * g, z)
    variance = np.trapezoid(weight * (g - mean) ** 2, z)
    return float(np.trapezoid(weight * np.gradient(g, z) ** 2, z) / variance)


def turned(eigenvalues, beta, angle):
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return np.diag(np.sqrt(np.array(eigenvalues) - beta / 2)) @ turn


def cosine_of_columns(eigenvalues, beta, angle):
    return float(1 - scipy.spatial.distance.cosine(*turned(eigenvalues, beta, angle).T))


def searched_cost(eigenvalues, beta, angle):
    def best(w):
        radii = searched_sigma(torch.from_numpy(w)[None], beta)[0].numpy()
        return (radii**2 * (w**2).sum(0)).sum() + beta * (radii**2 / 2 - np.log(radii)).sum()

    return float(best(turned(eigenvalues, beta, angle)) - best(turned(eigenvalues, beta, 0)))


def volume_density(mu, sigma, beta, active, a, m):
    tangent = active.sum() * a.log()
    return isometry.log_density(mu, sigma, beta, active=active, metric_log_det=tangent)


def gap(sigma, active):
    logs = [math.log(np.prod(row[active].tolist())) for row in sigma]
    return max(logs) - min(logs)


def half_hessian(distortion, x, delta):
    def form(image, step):
        hessian = torch.autograd.functional.hessian(lambda y: distortion(image, y), image)
        return step @ hessian @ step / 2

    return torch.stack([form(*pair) for pair in zip(x, delta, strict=True)])


def cross_entropy(x, y):
    return torch.nn.functional.binary_cross_entropy(y, x, reduction="sum")


def ssim_form(x, delta, c1, c2):
    def dissimilarity(a, b):
        moments = torch.cov(torch.stack([a, b]), correction=0)
        means = torch.stack([a.mean(), b.mean()])
        luminance = (2 * means.prod() + c1) / (means.square().sum() + c1)
        return 1 - luminance * (2 * moments[0, 1] + c2) / (moments.trace() + c2)

    return half_hessian(dissimilarity, x, delta)


def objective_density(mu, sigma, distortion, beta):
    prior = Normal(torch.zeros_like(mu), 1.0)
    loss = distortion + beta * kl_divergence(Normal(mu, sigma), prior).sum(1)
    return isometry.log_density(mu, sigma, beta, method="objective", loss=loss)


def mean_excess(eigenvalues, beta):
    # One direction at a time, by quadrature over its data.
    nodes, weights = np.polynomial.hermite_e.hermegauss(9)
    total = 0.0
    for value in eigenvalues:
        s = torch.from_numpy(nodes)[:, None] * math.sqrt(value)
        mu = s * math.sqrt(max(0, value - beta / 2)) / value
        volume = isometry.log_density(mu, torch.full_like(mu, math.sqrt(beta / 2 / value)), beta)
        exact = scipy.stats.norm(scale=math.sqrt(value)).logpdf(s[:, 0].numpy())
        total += weights @ (volume.numpy() - exact) / weights.sum()
    return float(total)


def largest_beta(eigenvalues, nats):
    collapse = 2 * min(eigenvalues)
    if mean_excess(eigenvalues, collapse) <= nats:
        return collapse
    return scipy.optimize.brentq(lambda b: mean_excess(eigenvalues, b) - nats, 1e-9, collapse)


def wire_code(y, cdf, pdf, beta):
    # The latent from scipy, its stretch by autograd, the radius by search: no density.
    y = y.detach().double().clone().requires_grad_()
    (stretch,) = torch.autograd.grad(torch.special.ndtri(cdf(y)).sum(), y)
    mu = torch.from_numpy(scipy.stats.norm.ppf(cdf(y.detach()).numpy()))
    return mu, searched_sigma(1 / stretch[:, None, None], beta)[:, 0]


def typical_findings(names):
    truth = names["pdf"](names["y"]).numpy()
    mu, sigma = wire_code(names["y"], names["cdf"], names["pdf"], 0.001)
    prior = scipy.stats.norm.pdf(mu.numpy())
    volume = prior * sigma.numpy()
    return {
        "typical": int(prior.argmax()),
        "rarest": int(volume.argmin()),
        "prior": float(scipy.stats.spearmanr(prior, truth).statistic),
        "volume": float(scipy.stats.spearmanr(volume, truth).statistic),
    }


def books_by_differences(decode, mu, sigma, beta, h=1e-6):
    rows = []
    for m, s in zip(mu, sigma, strict=True):
        steps = torch.diag(s * h)  # along each axis, in units of its own radius
        moved = [(decode(m + step) - decode(m - step)) / (2 * h) for step in steps]
        rows.append(torch.stack(moved).square().sum(1) * 2 / beta)
    return torch.stack(rows).mean(0), (sigma**2).mean(0)


def balancing_price(isometricity, variance, beta):
    # The price of every unit that is awake, and the one in the middle.
    units = zip(isometricity.tolist(), variance.tolist(), strict=True)
    return beta * statistics.median(i / (1 - v) for i, v in units if v < 0.95)


def auditor(models):
    verdict = {}
    for letter, model in models.items():
        isometricity, variance = (x[:2] for x in books_by_differences(*model, 0.1))
        factors = isometricity / (1 - variance)
        even = factors.max() < 1.01 * factors.min()
        verdict[letter] = "turned" if not even else "another price"
        if even and abs(factors[0] - 1) < 0.01:
            verdict[letter] = "honest"
    return verdict


ANSWERS = {
    "ruler": lambda names: {
        "isometricity": lengths_in_the_library,
        "best_sigma": searched_sigma,
    },
    "straighten": lambda names: {"straighten": straighten, "stretch": stretch},
    "bracket": lambda names: {
        "bracket": lambda sigma, beta: tuple(isometry.importance(sigma, beta))[::-1],
        "excess": poincare,
    },
    "turn": lambda names: {"cosine": cosine_of_columns, "extra_loss": searched_cost},
    "audit": lambda names: {
        "books": books_by_differences,
        "true_price": balancing_price,
        "verdict": auditor(names["models"]),
    },
    "volume": lambda names: {"volume_density": volume_density, "gap": gap},
    "tangent": lambda names: {
        "bce_form": lambda x, delta: half_hessian(cross_entropy, x, delta),
        "ssim_form": ssim_form,
    },
    "window": lambda names: {
        "objective_density": objective_density,
        "mean_excess": mean_excess,
        "largest_beta": largest_beta,
    },
    "typical": lambda names: {
        "code": wire_code,
        "spearman": lambda a, b: float(scipy.stats.spearmanr(a.numpy(), b.numpy()).statistic),
        "findings": typical_findings(names),
    },
}
