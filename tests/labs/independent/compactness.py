"""Independent answers to the exercises of Part III (05)."""

import itertools
import math
from collections import Counter

import numpy as np
import scipy.stats
import torch


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


ANSWERS = {
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
}
