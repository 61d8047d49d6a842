"""Exercise masters: a stub earns nothing, the solution everything, a mistake its own hint."""

import ast
import base64
import contextlib
import copy
import functools
import io
import itertools
import json
import math
import os
import re
import statistics
import subprocess
import sys
import warnings
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import matplotlib.pyplot
import mpmath
import nbformat
import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import scipy.optimize
import scipy.spatial.distance
import scipy.special
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

from vae_course import distortion, evaluation, isometry
from vae_course.gaussian import convert_beta
from vae_course.sphere import SphericalCauchy

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # ipylab's, which otter imports
    import make_exercises
    import masters

MASTERS = {p.stem: masters.read(p) for p in sorted((ROOT / "exercises").glob("*.ipynb"))}
QUESTIONS = [
    pytest.param(master, question, id=f"{name[:2]}-{question.name}")
    for name, master in MASTERS.items()
    for question in master.questions.values()
]
MISTAKES = [
    pytest.param(*q.values, number, id=f"{q.id}-{mistake.title}")
    for q in QUESTIONS
    for number, mistake in enumerate(q.values[1].mistakes)
]


def execute(code: str, names: dict[str, Any]) -> dict[str, Any]:
    """Names after the code has run on a copy of these names; what it prints is dropped."""
    names = {"__name__": "__main__"} | names
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(code, "<notebook>", "exec"), names)
    return names


@functools.cache
def given(name: str, question: str) -> dict[str, Any]:
    master = MASTERS[name]
    return execute(master.preamble + master.questions[question].given, {})


@functools.cache
def solved(name: str, question: str) -> dict[str, Any]:
    return execute(MASTERS[name].questions[question].solution, given(name, question))


def hidden_tests(question: masters.Question) -> list[ast.FunctionDef]:
    functions = [node for node in ast.parse(question.test_source).body if hasattr(node, "args")]
    return [f for f in functions if "hidden=True" in ast.unparse(f.decorator_list[0])]


# ---- what every master must be


@pytest.mark.parametrize("master", MASTERS.values(), ids=MASTERS)
def test_a_master_is_stripped(master):
    for cell in master.notebook.cells:
        assert not cell.get("outputs") and not cell.get("execution_count")
    assert set(master.notebook.metadata) == {"kernelspec"}


@pytest.mark.parametrize("master, question", QUESTIONS)
def test_an_exercise_has_checks_hidden_tests_and_three_known_wrong_answers(master, question):
    names = [node.name for node in ast.parse(question.test_source).body if hasattr(node, "args")]
    assert len(set(names)) == len(names) == len(question.test_cells), (
        "otter keeps the last of equals"
    )
    assert 0 < len(hidden_tests(question)) < len(names)
    hints = [mistake.hint for mistake in question.mistakes]
    assert len(set(hints)) == len(hints) >= 3
    # Windows reads test files in another encoding than it should.
    assert question.test_source.isascii()


@pytest.mark.parametrize("master, question", QUESTIONS)
def test_a_hidden_test_compares_stored_literals_after_a_probe(master, question):
    for test in hidden_tests(question):
        stored = [
            number
            for number, statement in enumerate(test.body)
            if isinstance(statement, ast.Assign) and ast.unparse(statement.targets) == "expected"
        ]
        assert len(stored) == 1
        assert ast.literal_eval(test.body[stored[0]].value)
        probe = ast.unparse(test.body[: stored[0]])
        compare = ast.unparse(test.body[stored[0] + 1 :])
        assert "answers" in probe and "assert" not in probe
        # The student's process could have patched torch.
        assert not re.search(r"\b(torch|numpy|np|allclose)\b", compare)


def test_a_master_with_an_unreadable_mistake_or_two_questions_of_one_name_is_refused(tmp_path):
    path = tmp_path / "09-bad.ipynb"
    master = copy.deepcopy(next(iter(MASTERS.values())).notebook)
    mistake = next(cell for cell in master.cells if cell.source.startswith("# IGNORE"))
    mistake.source = mistake.source.replace("# hint:", "# says:")
    nbformat.write(master, path)
    with pytest.raises(ValueError, match="not a known wrong answer"):
        masters.read(path)
    starts = [cell for cell in master.cells if cell.source.startswith("# BEGIN QUESTION")]
    starts[1].source = starts[0].source
    nbformat.write(master, path)
    with pytest.raises(ValueError, match="two questions named"):
        masters.read(path)


# ---- what the tests say


@pytest.mark.parametrize("master, question", QUESTIONS)
def test_the_stub_earns_nothing(master, question):
    names = execute(question.stub, given(master.path.stem, question.name))
    assert question.grade(names).score == 0


def spoiled(value: Any) -> Any:
    if callable(value):
        return lambda *arguments: spoiled(value(*arguments))
    if isinstance(value, tuple):
        return tuple(map(spoiled, value))
    if isinstance(value, dict):
        return {key: spoiled(inner) for key, inner in value.items()}
    return torch.full_like(value, math.nan) if isinstance(value, torch.Tensor) else math.nan


@pytest.mark.parametrize("master, question", QUESTIONS)
def test_nan_earns_nothing(master, question):
    before, after = (f(master.path.stem, question.name) for f in (given, solved))
    answers = {name: spoiled(after[name]) for name in after.keys() - before.keys()}
    assert question.grade(before | answers).score == 0


@pytest.mark.parametrize("master, question", QUESTIONS)
def test_the_solution_earns_full_marks(master, question):
    result = question.grade(dict(solved(master.path.stem, question.name)))
    assert result.passed_all, result.summary()
    assert result.score == result.possible > 0


@pytest.mark.parametrize("master, question, number", MISTAKES)
def test_a_known_wrong_answer_meets_its_own_hint(master, question, number):
    mistake = question.mistakes[number]
    result = question.grade(execute(mistake.code, solved(master.path.stem, question.name)))
    failed = [case for case in result.test_case_results if not case.passed]
    said = "\n".join(
        case.message.rpartition("Error: ")[2] for case in failed if not case.test_case.hidden
    )
    heard = [other.hint for other in question.mistakes if other.hint in said]
    assert heard == [mistake.hint], said or "no check failed"
    assert any(case.test_case.hidden for case in failed), "a grader that sees values only is fooled"


@pytest.mark.parametrize("solve", [True, False], ids=["solved", "untouched"])
@pytest.mark.parametrize("master", MASTERS.values(), ids=MASTERS)
def test_a_notebook_runs_to_its_end(master, solve):
    matplotlib.use("agg")
    names: dict[str, Any] = {}
    for question in master.questions.values():
        before = given(master.path.stem, question.name)
        names |= execute(question.solution if solve else question.stub, before)
    execute(master.epilogue, names)
    matplotlib.pyplot.close("all")


# ---- independent answers: the stored values are right


def loss_terms(x, x_hat, mu, sigma, beta):
    rate = kl_divergence(Normal(mu, sigma), Normal(0.0, 1.0)).sum(-1)
    pairs = zip(x.tolist(), x_hat.tolist(), strict=True)
    distortion = torch.tensor([scipy.spatial.distance.sqeuclidean(a, b) for a, b in pairs])
    return distortion + beta * rate, distortion, rate


def our_beta(colleague_beta, pixels):
    summed = convert_beta(colleague_beta, source="mean", target="sum", event_size=pixels)
    return convert_beta(summed, source="half", target="sum", event_size=pixels)


def energy_distance(a, b):
    def mean(p, q):
        return scipy.spatial.distance.cdist(p.numpy(), q.numpy()).mean()

    return float(2 * mean(a, b) - mean(a, a) - mean(b, b))


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
    energies = {c: energy_distance(decode(noise / c), test) for c in names["scales"]}
    best = min(energies, key=energies.get)
    fitted = energy_distance(generate(decode, names["codes"], noise), test)
    return {"best_scale": best, "energy_best": energies[best], "energy_fitted": fitted}


def fools(names, which):
    pairs = {
        name: evaluation.precision_recall(sample, names["reference"], k=3)
        for name, sample in names["models"].items()
    }
    return max(pairs, key=lambda name: pairs[name][which])


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


# 02: the contract


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
    w = axes[:8].T * np.sqrt(np.maximum(0, eigenvalues - noise))
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
        # Signs of the axes are free, and the noise is not: settle them as the solution does.
        theirs = solved("03-kl-contraction", "blind")["linear_vae"](names["train"], images, beta)[0]
        return mu, mu + sigma * noise * (mu * theirs).sum(0).sign()

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


# 05: VQ compactness


def nearest_by_tree(z, codebook, chunk):
    return torch.from_numpy(scipy.spatial.cKDTree(codebook.numpy()).query(z.detach().numpy())[1])


class StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z, centre):
        return centre.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad, None


def quantise(z, centre, commitment):
    def squared(a, b):
        return torch.nn.functional.pairwise_distance(a, b, eps=0).square()

    loss = commitment * squared(z, centre.detach()) + squared(centre, z.detach())
    return StraightThrough.apply(z, centre), loss


def effective_codes(indices, num_codes):
    return float(np.exp(scipy.stats.entropy(list(Counter(indices.tolist()).values()))))


def running_step(codebook, counts, z, indices, decay):
    centres, weights = codebook.tolist(), counts.tolist()
    for k, weight in enumerate(counts.tolist()):
        mine = [v for v, i in zip(z.tolist(), indices.tolist(), strict=True) if i == k]
        weights[k] = decay * weight + (1 - decay) * len(mine)
        if mine:  # the old mean and the new vectors, each with its weight
            weighed = [decay * weight] + [1 - decay] * len(mine)
            centres[k] = np.average([centres[k], *mine], axis=0, weights=weighed).tolist()
    return torch.tensor(centres, dtype=z.dtype), torch.tensor(weights, dtype=z.dtype)


def where_batches_lead(batches, decay):
    ages = np.repeat(np.arange(len(batches))[::-1], [len(b) for b in batches])
    mean = np.average(torch.cat(batches).numpy(), axis=0, weights=decay**ages)
    return torch.from_numpy(mean)


def missing(decay):
    """What a mean that starts at 0 lacks of a constant 1, update by update."""
    e = 0.0
    while True:
        yield 1 - e
        e = decay * e + (1 - decay)


def divergence_from_independence(tuples):
    rows, n = [tuple(row) for row in tuples.tolist()], len(tuples)
    slots = [Counter(slot) for slot in zip(*rows, strict=True)]
    return sum(
        c / n * math.log(c / n / math.prod(slots[s][k] / n for s, k in enumerate(row)))
        for row, c in Counter(rows).items()
    )


def in_own_orders(tuples, orders):
    columns = zip(*tuples.tolist(), strict=True)
    mixed = [[c[i] for i in order] for c, order in zip(columns, orders.tolist(), strict=True)]
    return torch.tensor(list(zip(*mixed, strict=True)))


def fragments(names):
    excess, distinct = {}, {}
    for name, table in names["tables"].items():
        mixed = in_own_orders(table, names["orders"])
        excess[name] = divergence_from_independence(table) - divergence_from_independence(mixed)
        distinct[name] = len(set(map(tuple, table.tolist())))
    # Images repeat their tuples most often, chance least.
    order = sorted(distinct, key=distinct.get)
    verdict = dict(zip(order, ("whole", "halves", "slots"), strict=True))
    return {"excess": excess, "verdict": verdict}


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


# 08: a code on a sphere


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


# 09: spherical VAEs on images


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


# 10: molecules


def code_length(logits, tokens):
    law, total = Categorical(logits=logits), []
    for i, row in enumerate(tokens.tolist()):
        read = row.index(0) + 1 if 0 in row else len(row)
        total.append(-sum(law.log_prob(tokens)[i, j].item() for j in range(read)))
    return torch.tensor(total)


def exact_share(predicted, tokens):
    def read(row):
        return [*itertools.takewhile(bool, row), 0]

    pairs = zip(predicted.tolist(), tokens.tolist(), strict=True)
    return statistics.fmean(read(guess) == read(row) for guess, row in pairs)


def token_accuracy(share, length):
    return scipy.optimize.brentq(lambda q: q**length - share, 0, 1, xtol=1e-14)


def funnel(strings, train, canonical):
    valid = Counter(filter(None, map(canonical, strings)))
    known = {canonical(s) for s in train}
    total = valid.total()
    novel = [c for c in valid if c not in known]
    return {
        "validity": total / len(strings) if strings else 0.0,
        "uniqueness": len(valid) / total if valid else 0.0,
        "novelty": len(novel) / len(valid) if valid else 0.0,
    }


def distinct_by_recursion(p, n):
    # Draw by draw: the next one is new with the mass that has not been seen.
    unseen, distinct = p.double().tolist(), 0.0
    masses = list(unseen)
    for _ in range(n):
        distinct += sum(unseen)
        unseen = [u * (1 - mass) for u, mass in zip(unseen, masses, strict=True)]
    return distinct


def carbon_chains(n, train, canonical):
    known, lengths = set(train), itertools.count(3)
    return list(itertools.islice((c for k in lengths if (c := "C" * k) not in known), n))


def without_ends(share, points, ends):
    def excess(inside):
        return statistics.fmean([ends, ends] + [inside] * (points - 2)) - share

    return scipy.optimize.brentq(excess, -1, 2)


def score_interval(share, n, z=1.96):
    # Shares that the score test does not reject: between the roots of its equation.
    def excess(p):
        return n * (share - p) ** 2 - z**2 * p * (1 - p)

    low = 0.0 if share == 0 else scipy.optimize.brentq(excess, 0, share - 1e-9)
    high = 1.0 if share == 1 else scipy.optimize.brentq(excess, share + 1e-9, 1)
    return low, high


def worth(valid):
    inner = [row[1:-1] for row in valid.tolist()]
    points = list(itertools.chain(*inner))
    error = scipy.stats.sem([statistics.fmean(row) for row in inner])
    return float(len(points) if error == 0 else min(len(points), np.var(points) / error**2))


INDEPENDENT = {
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
    "nearest": lambda names: {"nearest": nearest_by_tree, "quantise": quantise},
    "head_count": lambda names: {
        "perplexity": effective_codes,
        "usage": lambda indices, num_codes: len(set(indices.tolist())) / num_codes,
        "epoch_perplexity": lambda batches, num_codes: effective_codes(
            torch.tensor([k for batch in batches for k in batch.tolist()]), num_codes
        ),
        "lopsided": lambda n, num_codes: torch.arange(n).clamp_max(num_codes - 1),
    },
    "running_mean": lambda names: {
        "step": running_step,
        "closed_form": where_batches_lead,
        "shortfall": lambda decay, t: next(itertools.islice(missing(decay), t, None)),
        "patience": lambda decay, tolerance: next(
            t for t, share in enumerate(missing(decay)) if share <= tolerance
        ),
    },
    "fragments": lambda names: {
        "rate": lambda slots, num_codes: math.log(num_codes**slots),
        "total_correlation": divergence_from_independence,
        "shuffled": in_own_orders,
        **fragments(names),
    },
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
    "letters": lambda names: {"nats": code_length, "exact": exact_share, "needed": token_accuracy},
    "funnel": lambda names: {
        "report": funnel,
        "expected_distinct": distinct_by_recursion,
        "cheat": carbon_chains,
    },
    "endpoints": lambda names: {
        "inner_share": lambda valid: float(np.delete(valid.numpy(), [0, -1], 1).mean()),
        "without_ends": without_ends,
        "wilson": score_interval,
        "effective_trials": worth,
    },
}


@pytest.mark.parametrize("master, question", QUESTIONS)
def test_an_independent_solution_earns_full_marks(master, question):
    names = given(master.path.stem, question.name)
    result = question.grade(names | INDEPENDENT[question.name](names))
    assert result.passed_all, result.summary()


def test_the_toy_chemistry_of_chains_is_rdkits():
    chem = pytest.importorskip("rdkit.Chem")
    pytest.importorskip("rdkit.RDLogger").DisableLog("rdApp.*")
    chain = given("10-molecules", "funnel")["chain"]
    spellings: dict[str, set[str]] = {}
    for length in range(1, 6):
        for letters in itertools.product("CNOF", repeat=length):
            string = "".join(letters)
            molecule = chem.MolFromSmiles(string)
            assert (molecule is None) == (chain(string) is None), string
            if molecule is not None:
                spellings.setdefault(chem.MolToSmiles(molecule), set()).add(chain(string))
    # One canonical chain for each molecule, and one molecule for each.
    assert len(spellings) == len(set().union(*spellings.values())) == 356


# ---- what is made of a master


@pytest.fixture(scope="module", params=MASTERS)
def made(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / request.param
    make_exercises.make(MASTERS[request.param].path, folder)
    return MASTERS[request.param], folder


def unpacked(notebook) -> dict[str, str]:
    setup = next(cell.source for cell in notebook.cells if cell.cell_type == "code")
    packed = re.search(r'packed = "(.*)"', setup).group(1)
    return json.loads(zlib.decompress(base64.b85decode(packed)))


def test_a_student_gets_one_file_and_none_of_the_secrets(made):
    master, folder = made
    files = list((folder / "student").iterdir())
    assert [file.name for file in files] == [master.path.name]
    notebook = nbformat.read(files[0], 4)
    checks = unpacked(notebook)
    text = files[0].read_text() + "".join(checks.values())
    text += "\n".join(cell.source for cell in notebook.cells)
    assert checks.keys() == master.questions.keys()
    assert "hidden=True" not in text and "IGNORE" not in text and "# BEGIN" not in text
    assert "instructor pack" in text and "](../" not in text
    for question in master.questions.values():
        assert question.stub.strip() in text
        solution = masters.without_marks(question.solution)
        for line in set(solution.split("\n")) - set(question.stub.split("\n")):
            assert line.strip() not in text or len(line.strip()) < 12
        for mistake in question.mistakes:
            assert mistake.code not in text
        for test in hidden_tests(question):
            assert test.name not in text
            literal = ast.unparse(
                next(s.value for s in test.body if "expected =" in ast.unparse(s))
            )
            assert literal not in text


def test_the_setup_cell_installs_only_what_is_missing_from_the_one_address(made):
    master, folder = made
    url, book = make_exercises.site()
    for path in folder.rglob("*.ipynb"):
        source = path.read_text()
        assert {book, url} >= set(re.findall(r"https://[\w./-]+?vae_course/?", source))
    setup = next(
        c.source
        for c in nbformat.read(next((folder / "student").iterdir()), 4).cells
        if c.cell_type == "code"
    )
    installs = re.findall(
        r"try:\n +import (\w+)\nexcept ImportError:\n +%pip install -q (.*)", setup
    )
    assert installs == [("vae_course", f'"git+{url}"'), ("otter", '"otter-grader>=7,<8"')]
    assert setup.count("pip install") == 2 and "torch" not in setup.partition("packed =")[0]


def test_teachers_see_all_tests_and_all_known_mistakes(made):
    master, folder = made
    name = master.path.stem
    names = {f"{name}-solution.ipynb", f"{name}-instructor.ipynb", f"{name}-autograder.zip"}
    assert {p.name for p in (folder / "instructor").iterdir()} == names
    notebook = nbformat.read(folder / "instructor" / f"{name}-instructor.ipynb", 4)
    text = "\n".join(cell.source for cell in notebook.cells)
    for question in master.questions.values():
        assert masters.without_marks(question.solution).strip() in text
        assert all(m.code in text and m.hint in text for m in question.mistakes)
        assert all(f"def {test.name}(" in text for test in hidden_tests(question))
    assert "# BEGIN" not in text


def test_the_same_master_makes_the_same_files(made, tmp_path):
    master, folder = made
    make_exercises.make(master.path, tmp_path / "again")
    for path in folder.rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(folder)).read_bytes()
    with zipfile.ZipFile(next(folder.rglob("*.zip"))) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_only_a_changed_master_is_made_again(tmp_path, monkeypatch, capsys):
    calls = []

    def make(path: Path, folder: Path) -> None:
        calls.append(path.stem)
        folder.mkdir(parents=True)

    master = tmp_path / "09-one.ipynb"
    master.write_text("a")
    monkeypatch.setattr(make_exercises, "make", make)
    monkeypatch.setattr(sys, "argv", ["make", "--build", str(tmp_path), str(master)])
    assert make_exercises.main() == make_exercises.main() == 0
    assert calls == ["09-one"]
    master.write_text("b")
    make_exercises.main()
    assert calls == ["09-one"] * 2


@pytest.mark.timeout(300)
def test_otter_gives_the_solution_full_marks_and_the_stub_none(made, tmp_path):
    master, folder = made
    name = master.path.stem
    grader = folder / "instructor" / f"{name}-autograder.zip"
    runs = {}
    for kind, submission in [
        ("solution", folder / "instructor" / f"{name}-solution.ipynb"),
        ("stub", folder / "student" / f"{name}.ipynb"),
    ]:
        (tmp_path / kind).mkdir()
        command = [sys.executable, "-m", "otter", "run", "--no-logo", "-a", grader]
        runs[kind] = subprocess.Popen(
            [*command, "-o", tmp_path / kind, submission],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=tmp_path / kind,
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        )
    scores = {}
    for kind, run in runs.items():
        said, _ = run.communicate()
        assert run.returncode == 0, said
        tests = json.loads((tmp_path / kind / "results.json").read_text())["tests"]
        graded = [t for t in tests if t.get("max_score")]
        assert {t["name"].partition(" - ")[0] for t in graded} >= set(master.questions), graded
        scores[kind] = sum(t["score"] for t in graded), sum(t["max_score"] for t in graded)
    assert scores["solution"][0] == scores["solution"][1] == scores["stub"][1] > 0
    assert scores["stub"][0] == 0
