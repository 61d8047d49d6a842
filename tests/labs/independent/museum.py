"""Independent answers to the exercises of Part VIII (15)."""

import itertools
import math

import numpy as np
import scipy.linalg
import scipy.optimize
import scipy.stats
import torch


def rows(f, x):
    def norm(y):
        return scipy.linalg.norm(np.asarray(y, dtype=float).ravel())

    together = f(x)
    alone = torch.stack([f(image.unsqueeze(0)).squeeze(0) for image in x.unbind()])
    return norm(together - alone) / norm(together)


def repeats(f, x):
    first, second = np.asarray(f(x)), np.asarray(f(x))
    return float(np.sqrt(((first - second) ** 2).sum() / (first**2).sum()))


def frozen(features, head, train):
    h = features(train)
    norm = torch.nn.BatchNorm2d(h.shape[1], eps=0, affine=False).double().eval()
    norm.running_mean.copy_(h.mean((0, 2, 3)))
    norm.running_var.copy_(h.var((0, 2, 3), correction=0))
    return lambda x: head(norm(features(x).double()).to(x.dtype))


def slope(sigma, lengths):
    awake = [(s, a) for s, a in zip(sigma.tolist(), lengths.tolist(), strict=True) if s > 0]
    points = [(math.log(a), math.log(1 / s**2 - 1)) for s, a in awake if s**2 < 0.5]
    return scipy.stats.linregress(*np.transpose(points)).slope if len(points) > 2 else math.nan


def in_sigma(encode, decode, images):
    """By the price: under the right convention all latents paid the same."""
    mu, s = encode(images[:1])
    jacobian = torch.func.jacrev(lambda z: decode(z[None]).flatten())(mu[0])
    lengths = jacobian.square().sum(0)
    undo = [torch.clone, torch.sqrt, torch.exp, lambda s: (s / 2).exp(), torch.rsqrt]

    def unequal(f):
        price = (lengths / (1 / f(s[0]).square() - 1)).log()
        return math.inf if price.isnan().any() else price.std().item()

    best = min(undo, key=unequal)
    return lambda x: (encode(x)[0], best(encode(x)[1]))


def factor(z):
    z = z.double().numpy()
    left = [1 / np.delete(z, slice(g, None, 10), axis=0).std() for g in range(10)]
    return 1 / z.std(), 3 * np.std(left)


def gain(decode, mu, x):
    found = scipy.optimize.minimize_scalar(
        lambda t: (x - decode(math.exp(t) * mu)).square().sum().item(),
        bounds=(math.log(0.02), math.log(50)),
        method="bounded",
    )
    return math.exp(found.x)


def rescaled(encode, decode, images):
    """On both sides, then the one whose draws are about as large as the prior's."""
    a = gain(decode, encode(images)[0], images)
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal((400, 1)))

    def first(x):
        mu, sigma = encode(x)
        return a * mu, a * sigma

    def size(encoder):
        mu, sigma = encoder(images)
        return (mu.flatten() + sigma.flatten() * noise).std().log().abs()

    if size(first) < size(encode):
        return first, decode
    return encode, lambda z: decode(a * z)


def response(encode, decode, mu, j):
    def back(push):
        moved = (mu.flatten(1) + push).reshape(mu.shape)
        return encode(decode(moved))[0].flatten(1).double()

    one = torch.nn.functional.one_hot(torch.tensor(j), mu[0].numel()).to(mu)
    return (back(one) - back(0 * one)).mean(0)


def rewired(encode, decode, mu):
    """All orders of channels and all ways to turn a square: the one whose cycle agrees."""
    base = encode(decode(0 * mu))[0]

    def orders():
        for k, mirrored in itertools.product(range(4), (False, True)):
            for channels in itertools.permutations(range(mu.shape[1])):
                yield lambda z, k=k, mirrored=mirrored, channels=list(channels): torch.rot90(
                    z.flip(2) if mirrored else z, k, (2, 3)
                )[:, channels]

    def agreement(order):
        return ((encode(decode(order(mu)))[0] - base) * mu).sum().item()

    best = max(orders(), key=agreement)
    return lambda z: decode(best(z))


def suspect(numbers):
    """The fault whose number lies furthest beyond its bounds, in logarithms, stage by stage."""

    def beyond(key, low, high):
        value = numbers.get(key, 1.0 if low else 0.0)
        if low:
            value = max(value, 1e-9)
            return max(math.log(low / value), math.log(value / high), 0.0)
        return max(0.0, value / high - 1)

    stages = (
        {"dice": beyond("repeats", 0, 0.01), "company": beyond("rows", 0, 0.01)},
        {"factor": beyond("gain", 0.6, 1.7), "range": beyond("range", 0, 0.1) / 100},
        {"codebook": beyond("codebook_usage", 0.3, 2), "collapse": beyond("dead", 0, 0.99)},
        {"order": beyond("wiring", 0.8, 2) + beyond("orientation", 0, 1)},
        {"variance": beyond("ruler_slope", 0.5, 1.2), "price": 0.0},
        {"price": beyond("price_ratio", 1 / 3, 3)},
    )
    for stage in stages:
        name = max(stage, key=lambda name, stage=stage: stage[name])
        if stage[name] > 0:
            return name
    return "sound"


def exhibits(names):
    cards = names["cards"].items()
    return {
        "suspect": suspect,
        "findings": {letter: suspect(names["numbers"](card)) for letter, card in cards},
    }


ANSWERS = {
    "rows": lambda names: {"rows": rows, "repeats": repeats, "frozen": frozen},
    "deviation": lambda names: {"slope": slope, "in_sigma": in_sigma},
    "factor": lambda names: {"factor": factor, "gain": gain, "rescaled": rescaled},
    "wires": lambda names: {"response": response, "rewired": rewired},
    "exhibits": exhibits,
}
