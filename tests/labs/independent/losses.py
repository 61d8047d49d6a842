"""Independent answers to the exercises of Part VI."""

import math

import numpy as np
import scipy.integrate
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


def controlled(metric, covariance, errors, control):
    n, sigma = metric.double().numpy(), covariance.double().numpy()
    length = np.linalg.cholesky(errors.double().numpy())  # columns whose squares add up to errors
    scale = {
        "null": np.trace(sigma) / np.sum(n * sigma),
        "lipschitz": 1 / np.linalg.norm(n, 2),
        "gradient": np.linalg.norm(length) / np.linalg.norm(n @ length),
    }
    return torch.from_numpy(n + np.eye(len(n)) if control == "add" else n * scale[control])


def effect(treated, control):
    changes = [100 * (a - b) / b for a, b in zip(treated.tolist(), control.tolist(), strict=True)]
    found = scipy.stats.ttest_1samp(changes, 0).confidence_interval(0.95)
    return float(np.mean(changes)), float(found.low), float(found.high)


def of_critic(names):
    _, quiet, critic = names["rates"].values()
    return effect(critic, quiet)


def fixed_rate(budget, variance):
    """The best constant by search; a code can do no better than the best constant."""

    def cost(constant):
        law = scipy.stats.norm(scale=math.sqrt(variance))
        return abs(constant) - scipy.integrate.quad(lambda x: 2 * x * law.pdf(x), 0, np.inf)[0]

    least = min(cost(c) for c in np.linspace(-1, 1, 21))
    return 0.0 if budget >= least else math.inf


def tilted_rate(variance, beta, a, b):
    """By search over the channels x_hat = g x + noise of variance exp(w)."""

    def loss(point):
        g, noise = point[0], math.exp(point[1])
        distortion = a * (variance * (1 - g) ** 2 + noise) + b * (g * g * variance + noise)
        return distortion + beta / 2 * math.log1p(g * g * variance / noise)

    found = [
        scipy.optimize.minimize(
            loss, (g, w), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-15}
        )
        for g, w in ((0.5, -3.0), (2.0, 0.0), (1e-3, -9.0))
    ]
    g, w = min(found, key=lambda f: f.fun).x
    return math.log1p(g * g * variance / math.exp(w)) / 2


def realistic(eigenvalues, beta):
    filled = distortion.realistic_water_filling(eigenvalues, beta)
    uneven = distortion.posterior_anisotropy(filled.variances.sqrt())
    return filled.rates.sum().item(), uneven.item()


def evenness(jacobians, metric, beta):
    j, m = jacobians.numpy(), metric.numpy()
    p = np.eye(j.shape[-1]) + 2 / beta * np.einsum("npk,pq,nql->kl", j, m, j) / len(j)
    return float(np.log(np.diag(p)).var()), float(np.log(np.linalg.svd(p)[1]).var())


def turned(jacobian, metric):
    """Gradient descent on the rotations, from several starts."""
    form = jacobian.T @ metric @ jacobian
    k = len(form)
    form = form * k / form.trace()
    start = torch.Generator().manual_seed(0)
    for _ in range(20):
        skew = torch.randn(k, k, generator=start, dtype=torch.float64).requires_grad_()
        search = torch.optim.LBFGS([skew], max_iter=500, tolerance_grad=1e-12, tolerance_change=0)

        def loss(skew=skew, search=search):
            search.zero_grad()
            q = torch.matrix_exp(skew - skew.T)
            away = ((q.T @ form @ q).diagonal() - 1).square().sum()
            away.backward()
            return away

        search.step(loss)
        if loss() < 1e-16:
            break
    return torch.matrix_exp(skew - skew.T).detach()


def verdict(jacobian, metric, price):
    uneven, unmixed = evenness(jacobian[None], metric, price)
    if unmixed < 0.1:
        return "whitened"
    return "mixed" if uneven < unmixed / 2 else "uneven"


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
    "controls": lambda names: {
        "controlled": controlled,
        "certain": {
            "add": "never lower",
            "null": "open",
            "lipschitz": "never higher",
            "gradient": "open",
        },
        "effect": effect,
        "of_critic": of_critic(names),
    },
    "critic": lambda names: {
        "fixed_rate": fixed_rate,
        "tilted_rate": tilted_rate,
        "realistic": realistic,
    },
    "mixed": lambda names: {
        "evenness": evenness,
        "turned": turned,
        "verdicts": {
            letter: verdict(jacobian, names["edges"], names["price"])
            for letter, jacobian in names["decoders"].items()
        },
    },
    "lens": lambda names: {
        "precision": precision,
        "pulled_back": pulled_back,
        "findings": lens_findings(names),
    },
}
