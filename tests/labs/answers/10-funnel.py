# %% right: a counter
from collections import Counter


def report(strings, train, canonical):
    count = Counter(canonical(s) for s in strings)
    count.pop(None, None)
    valid = sum(count.values())
    known = frozenset(canonical(s) for s in train)
    new = [c for c in count if c not in known]
    return {
        "validity": valid / len(strings) if strings else 0.0,
        "uniqueness": len(count) / valid if valid else 0.0,
        "novelty": len(new) / len(count) if count else 0.0,
    }


# %% right: fractions
from fractions import Fraction


def report(strings, train, canonical):
    valid = [canonical(s) for s in strings if canonical(s)]
    distinct = sorted(set(valid))
    known = [canonical(s) for s in train]

    def share(part, whole):
        return Fraction(part, whole) if whole else Fraction(0)

    return dict(
        novelty=share(sum(c not in known for c in distinct), len(distinct)),
        uniqueness=share(len(distinct), len(valid)),
        validity=share(len(valid), len(strings)),
    )


# %% right: NumPy's numbers, and more keys than asked
import numpy as np


def report(strings, train, canonical):
    found = np.array([canonical(s) or "" for s in strings], dtype=str)
    valid = found[found != ""]
    distinct, counts = np.unique(valid, return_counts=True)
    known = np.array([canonical(s) or "" for s in train], dtype=str)
    novel = np.setdiff1d(distinct, known)
    share = lambda a, b: np.float64(a / b) if b else np.float64(0)
    return {
        "validity": share(valid.size, found.size),
        "uniqueness": share(distinct.size, counts.sum()),
        "novelty": share(novel.size, distinct.size),
        "n": len(strings),
    }


# %% right: tensors without dimensions, and an integer for nothing
import torch


def report(strings, train, canonical):
    valid = [c for c in map(canonical, strings) if c is not None]
    a, b, c = len(valid), len(set(valid)), len(set(valid) - {canonical(s) for s in train})
    return {
        "validity": torch.tensor(a / len(strings)) if strings else 0,
        "uniqueness": torch.tensor(b / a) if a else 0,
        "novelty": torch.tensor(c / b) if b else 0,
    }


# %% right: exceptions for nothing
def report(strings, train, canonical):
    def share(a, b):
        try:
            return a / b
        except ZeroDivisionError:
            return 0.0

    valid = list(filter(None, map(canonical, strings)))
    distinct = dict.fromkeys(valid)
    known = {canonical(s): s for s in train}
    fresh = [m for m in distinct if m not in known]
    parts = zip(
        ("validity", "uniqueness", "novelty"), (valid, distinct, fresh), (strings, valid, distinct)
    )
    return {name: share(len(a), len(b)) for name, a, b in parts}


# %% right: powers by logarithms
import torch


def expected_distinct(p, n):
    p = p.double()
    return -torch.expm1(n * torch.log1p(-p)).sum().item()


# %% right: NumPy
import numpy as np


def expected_distinct(p, n):
    p = np.asarray(p, dtype=np.float64)
    return np.sum(1 - np.power(1 - p, n))


# %% right: the draws one by one
def expected_distinct(p, n):
    total, unseen = 0.0, list(map(float, p))
    for _ in range(n):
        total += sum(unseen)
        unseen = [u * (1 - float(q)) for u, q in zip(unseen, p)]
    return total


# %% right: a binomial law, as a tensor
import torch
from scipy.stats import binom


def expected_distinct(p, n):
    return torch.as_tensor(1 - binom.pmf(0, n, p.numpy())).sum()


# %% right: single precision
def expected_distinct(p, n):
    return float((1 - (1 - p.float()) ** n).sum())


# %% right: the first chains that are not known
import itertools


def cheat(n, train, canonical):
    known = {canonical(s) for s in train}
    chains = ("C" * k for k in itertools.count(2))
    return list(itertools.islice((c for c in chains if canonical(c) not in known), n))


# %% right: a tuple of chains beyond all letters of the training set
def cheat(n, train, canonical):
    total = sum(len(s) for s in train)
    return tuple("C" * (total + 2 + i) for i in range(n))


# %% right: from the longest down
def cheat(n, train, canonical):
    longest = max((len(s) for s in train), default=1)
    return ["C" * (longest + n - i) for i in range(n)]


# %% right: a set
def cheat(n, train, canonical):
    made = set()
    while len(made) < n:
        made.add("C" * (max([len(s) for s in train] + [len(s) for s in made] + [1]) + 1))
    return made


# %% wrong: compares with the training set before it is canonical
def report(strings, train, canonical):
    kept = [s for s in strings if s not in train]
    valid = [c for c in map(canonical, strings) if c is not None]
    distinct = set(valid)
    novel = distinct & {canonical(s) for s in kept}
    return {
        "validity": len(valid) / max(1, len(strings)),
        "uniqueness": len(distinct) / max(1, len(valid)),
        "novelty": len(novel) / max(1, len(distinct)),
    }


# %% wrong: validity among distinct strings
def report(strings, train, canonical, right=report):
    return right(list(strings), train, canonical) | {
        "validity": right(list(set(strings)), train, canonical)["validity"]
    }


# %% wrong: novelty over the training set
def report(strings, train, canonical, right=report):
    distinct = {canonical(s) for s in strings} - {None}
    known = {canonical(s) for s in train} - {None}
    return right(strings, train, canonical) | {
        "novelty": len(distinct - known) / max(1, len(distinct | known))
    }


# %% wrong: a share among nothing is one
def report(strings, train, canonical, right=report):
    found = right(strings, train, canonical)
    valid = found["validity"] > 0
    return found if valid else {"validity": found["validity"], "uniqueness": 1.0, "novelty": 1.0}


# %% wrong: strings that occur once
from collections import Counter


def report(strings, train, canonical, right=report):
    valid = [c for c in map(canonical, strings) if c is not None]
    once = sum(n == 1 for n in Counter(valid).values())
    return right(strings, train, canonical) | {"uniqueness": once / max(1, len(valid))}


# %% wrong: the known share
def report(strings, train, canonical, right=report):
    found = right(strings, train, canonical)
    return found | {"novelty": 1 - found["novelty"] if found["novelty"] else 0.0}


# %% wrong: the given chemistry, whatever comes
def report(strings, train, canonical, right=report):
    return right(strings, train, chain)


# %% wrong: two decimals
def report(strings, train, canonical, right=report):
    return {k: round(v, 2) for k, v in right(strings, train, canonical).items()}


# %% wrong: a draw without replacement
def expected_distinct(p, n):
    return float(min(n, int((p > 0).sum())))


# %% wrong: one draw less
def expected_distinct(p, n):
    return (1 - (1 - p.double()) ** (n - 1)).sum().item()


# %% wrong: for rare molecules only
import torch


def expected_distinct(p, n):
    return (1 - torch.exp(-n * p.double())).sum().item()


# %% wrong: collisions of pairs
def expected_distinct(p, n):
    return float(n - n * (n - 1) / 2 * (p.double() ** 2).sum())


# %% wrong: the effective number of molecules
def expected_distinct(p, n):
    import torch

    return torch.special.entr(p.double()).sum().exp().item()


# %% wrong: a simulation
import torch


def expected_distinct(p, n):
    torch.manual_seed(0)
    draws = [len(torch.multinomial(p, n, replacement=True).unique()) for _ in range(200)]
    return sum(draws) / len(draws)


# %% wrong: chains longer than any in the check
def cheat(n, train, canonical):
    return ["C" * (1000 + i) for i in range(n)]


# %% wrong: chains longer than the first of the training set
def cheat(n, train, canonical):
    longest = len(train[0]) if train else 0
    return ["C" * (longest + 4 + i) for i in range(n)]


# %% wrong: one string too few
def cheat(n, train, canonical, right=cheat):
    return right(n, train, canonical)[1:] + ["C"]


# %% wrong: longer than the average
def cheat(n, train, canonical):
    mean = sum(map(len, train)) // max(1, len(train))
    return ["C" * (mean + 3 + i) for i in range(n)]
