"""Independent answers to the exercises of Part V on molecules (10)."""

import itertools
import math
import statistics
from collections import Counter

import numpy as np
import scipy.optimize
import scipy.special
import scipy.stats
import torch
from torch.distributions import (
    Categorical,
)


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


def bernoulli_rate(share, n):
    # Was the copy right? That alone tells the code from an empty one.
    wrong = scipy.special.rel_entr(1 - share, (n - 1) / n)
    return float(scipy.special.rel_entr(share, 1 / n) + wrong) if share > 1 / n else 0.0


def share_of_rate(rate, n):
    if rate >= math.log(n):
        return 1.0
    return scipy.optimize.brentq(lambda s: bernoulli_rate(s, n) - rate, 1 / n, 1, xtol=1e-13)


def one_string(p):
    share, string = max(zip(p.tolist(), range(len(p)), strict=True))
    return share, string


ANSWERS = {
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
    "copies": lambda names: {
        "least_rate": bernoulli_rate,
        "most_exact": share_of_rate,
        "blind": one_string,
        "impossible": [
            name
            for name, (rate, share, n) in names["reports"].items()
            if rate < bernoulli_rate(share, n)
        ],
    },
}
