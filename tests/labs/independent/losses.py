"""Independent answers to the exercises of Part VI."""

import math

import numpy as np
import scipy.linalg
import scipy.optimize
import scipy.stats
import torch

from vae_course import distortion


def spectrum(covariance, metric):
    values = scipy.linalg.eigvals(covariance.double().numpy() @ metric.double().numpy()).real
    return torch.from_numpy(np.sort(values)[::-1].clip(0).copy())


def searched_budget(value, beta):
    """Distortion that one direction keeps, by search on its rate-distortion curve."""

    def loss(log_d):
        return math.exp(log_d) + beta / 2 * (math.log(value) - log_d)

    top = math.log(value)
    found = scipy.optimize.minimize_scalar(
        loss, bounds=(top - 30, top), method="bounded", options={"xatol": 1e-12}
    )
    return value if loss(top) <= found.fun else math.exp(found.x)


def log_variances(eigenvalues, beta):
    # A direction that varies by nothing keeps all of it.
    return [math.log(searched_budget(v, beta) / v) if v else 0.0 for v in eigenvalues.tolist()]


def rate(eigenvalues, beta):
    return -sum(log_variances(eigenvalues, beta)) / 2


def anisotropy(eigenvalues, beta):
    return float(np.var(log_variances(eigenvalues, beta)))


def tilt(covariance, t):
    covariance = covariance.double().numpy()
    power = scipy.linalg.fractional_matrix_power(covariance, -t)
    return torch.from_numpy(power * np.trace(covariance) / np.trace(power @ covariance))


def ratio(t):
    source = torch.tensor([[3.0, 0.7, 0.1], [0.7, 2.0, 0.2], [0.1, 0.2, 0.4]], dtype=torch.float64)
    seen = [spectrum(source, tilt(source, s)).log().var().item() for s in (t, 0.0)]
    return seen[0] / seen[1]


def water_rate(eigenvalues, beta):
    return distortion.reverse_water_filling(eigenvalues, beta).rates.sum().item()


def break_even(eigenvalues):
    flat = torch.full_like(eigenvalues, eigenvalues.mean())

    def excess(beta):
        return water_rate(flat, beta) - water_rate(eigenvalues, beta)

    return scipy.optimize.brentq(excess, eigenvalues.min() / 2, 2 * flat[0], xtol=1e-13)


def shannon(p, cost, beta):
    # Over output laws q alone the problem is convex: -beta E log sum_y q(y) exp(-d / beta).
    p, cost = p.numpy(), cost.numpy()
    kernel = np.exp(-cost / beta)

    def dual(q):
        return -beta * p @ np.log(kernel @ q)

    def slope(q):
        return -beta * (p / (kernel @ q)) @ kernel

    m = cost.shape[1]
    found = scipy.optimize.minimize(
        dual,
        np.full(m, 1 / m),
        jac=slope,
        bounds=[(0, 1)] * m,
        constraints={"type": "eq", "fun": lambda q: q.sum() - 1, "jac": np.ones_like},
        method="SLSQP",
        options={"ftol": 1e-16, "maxiter": 1000},
    )
    joint = kernel * found.x / (kernel @ found.x)[:, None] * p[:, None]
    bill = float((joint * cost).sum())
    return (float(found.fun) - bill) / beta, bill


def crossing():
    # Both tables are symmetric, so both rates are a log less an entropy.
    def rate(symbols, beta):
        weights = np.exp(-np.arange(symbols).clip(0, 1) / beta)
        return math.log(symbols) - scipy.stats.entropy(weights / weights.sum())

    return scipy.optimize.brentq(lambda beta: rate(4, beta) - rate(2, beta), 1, 2, xtol=1e-13)


def weaker(n):
    return torch.from_numpy(np.add.outer(np.arange(n), np.arange(n)) % 2).double()


def controlled(metric, covariance, errors, control):
    n, sigma = metric.double().numpy(), covariance.double().numpy()
    length = np.linalg.cholesky(errors.double().numpy())  # columns whose squares add up to errors
    scale = {
        "null": np.trace(sigma) / np.sum(n * sigma),
        "lipschitz": 1 / np.linalg.norm(n, 2),
        "gradient": np.linalg.norm(length) / np.linalg.norm(n @ length),
    }
    return torch.from_numpy(n + np.eye(len(n)) if control == "add" else n * scale[control])


def split(metric, covariance, beta):
    def nats(m):
        return water_rate(spectrum(covariance.double(), m.double()), beta)

    identity = torch.eye(len(metric), dtype=torch.float64)
    change = nats(metric) - nats(identity)
    grown = nats(identity * (metric.double() * covariance.double()).sum() / covariance.trace())
    return grown - nats(identity), change - (grown - nats(identity))


def precision(cost, x, mu, sigma, draws, beta):
    def one(image, m, s):
        curvature = [
            torch.autograd.functional.hessian(lambda z: cost(image, z), m + s * e).diagonal()
            for e in draws
        ]
        return 1 + sum(curvature) / len(draws) / beta

    return torch.stack([one(*row) for row in zip(x, mu, sigma, strict=True)])


def pulled_back(features, mu, sigma, draws, beta):
    def one(m, s):
        columns = [torch.autograd.functional.jacobian(features, m + s * e).T for e in draws]
        return 1 + 2 / beta * sum((c @ c.T).diagonal() for c in columns) / len(draws)

    return torch.stack([one(*row) for row in zip(mu, sigma, strict=True)])


def lens_findings(names, h=1e-4):
    """Second differences in place of autograd, a regression in place of a ratio."""
    x, mu, decode = names["x"], names["mu"], names["decode"]

    def regression(features, sigma):
        def cost(z):
            return (features(decode(z)) - features(x)).square().sum(-1).mean(0)

        z = mu + sigma * names["draws"][:, None]
        steps = h * torch.eye(2, dtype=torch.float64)
        bends = torch.stack([cost(z + s) - 2 * cost(z) + cost(z - s) for s in steps], 1) / h**2
        excess = 1 / sigma**2 - 1
        fit = np.corrcoef(bends.log().flatten(), excess.log().flatten())[0, 1]
        return fit, ((bends * excess).sum() / excess.square().sum()).item()

    findings = {}
    for letter, sigma in names["radii"].items():
        fits = {name: regression(f, sigma) for name, f in names["features_of"].items()}
        name = max(fits, key=lambda name: np.nan_to_num(fits[name][0]))
        findings[letter] = name, fits[name][1]
    return findings


ANSWERS = {
    "seen": lambda names: {"spectrum": spectrum, "rate": rate, "anisotropy": anisotropy},
    "tilt": lambda names: {"tilt": tilt, "ratio": ratio, "break_even": break_even},
    "symbols": lambda names: {
        "blahut_arimoto": shannon,
        "crossing": crossing(),
        "weaker": weaker,
    },
    "controls": lambda names: {
        "controlled": controlled,
        "certain": {
            "add": "never lower",
            "null": "open",
            "lipschitz": "never higher",
            "gradient": "open",
        },
        "split": split,
    },
    "lens": lambda names: {
        "precision": precision,
        "pulled_back": pulled_back,
        "findings": lens_findings(names),
    },
}
