"""Independent answers to the exercises of Part VII."""

import itertools
import math
import warnings

import numpy as np
import scipy.linalg
import torch

from vae_course import spd


def loops(z, mode):
    """The unfolding, entry by entry; the order of the columns is free."""
    z = np.asarray(z, float)
    other = [range(size) for axis, size in enumerate(z.shape, 1) if axis != mode]
    pick = [
        [z[tuple(np.insert(index, mode - 1, i))] for index in itertools.product(*other)]
        for i in range(z.shape[mode - 1])
    ]
    return np.array(pick)


def singular_values(z, mode):
    x = loops(z, mode)
    centre = np.eye(x.shape[1]) - 1 / x.shape[1]
    return torch.from_numpy(scipy.linalg.svdvals(x @ centre)[: min(x.shape)])


def rank(z, mode, tolerance):
    # The matrix less its best approximation of rank r has the norm sigma_{r + 1}.
    x = loops(z, mode)
    u, s, v = np.linalg.svd(x - x.mean(1, keepdims=True), full_matrices=False)
    for r in range(len(s) + 1):
        left = np.linalg.norm(u[:, r:] * s[r:] @ v[r:], 2) if r < len(s) else 0.0
        if left <= tolerance * s[0]:
            return r
    raise AssertionError("unreachable")


def ceilings(m, n, k):
    z = np.random.default_rng(0).standard_normal((m, n, k))
    return tuple(int(np.linalg.matrix_rank(np.cov(loops(z, mode)))) for mode in (1, 2, 3))


def stratum(rank, n):
    # How many directions B B^T moves in when B does.
    b = torch.randn(n, rank, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    if rank == 0:
        return 0
    if n > 8:  # the same by counting: a subspace, and a definite matrix on it
        return rank * (n - rank) + math.comb(rank + 1, 2)
    slope = torch.autograd.functional.jacobian(lambda b: b @ b.T, b).reshape(n * n, -1)
    return int(torch.linalg.matrix_rank(slope))


def forgotten(m, n, k):
    held = sum(spd.stratum_dimension(r, size) for r, size in zip(
        spd.rank_ceiling(m, n, k), (m, n, k), strict=True
    ))  # fmt: skip
    return max(m * n * k - held, 0)


def bias(z):
    # Unnoticed are the v in a subspace with |v|^2 + 2 v . mean = 0; walk up to the longest.
    z = z.numpy().astype(float)
    mean = z.mean((0, 1))
    seen = np.vstack([np.ones(len(mean)), np.diff(z.mean(1), axis=0), np.diff(z.mean(0), axis=0)])
    free = scipy.linalg.null_space(seen)
    v = free @ np.linalg.lstsq(free, -2 * mean, rcond=None)[0]
    moved = spd.mode_covariances(torch.from_numpy(z + v))
    for s, t in zip(spd.mode_covariances(torch.from_numpy(z)), moved, strict=True):
        np.testing.assert_allclose(s, t, atol=1e-10)
    turned = free @ np.random.default_rng(0).standard_normal((free.shape[1], 500))
    others = turned * (-2 * mean @ turned) / (turned**2).sum(0)  # all the sphere's directions
    assert np.linalg.norm(others, axis=0).max() <= np.linalg.norm(v) + 1e-12
    return torch.from_numpy(v)


def embedding(s):
    n = s.shape[-1]
    with warnings.catch_warnings():  # scipy mentions errors of 1e-13
        warnings.simplefilter("ignore", RuntimeWarning)
        logs = [scipy.linalg.logm(matrix) for matrix in s.double().numpy()]
    above = list(itertools.combinations(range(n), 2))
    rows = [[*np.diag(log), *(math.hypot(log[i, j], log[j, i]) * np.sign(log[i, j])
            for i, j in above)] for log in logs]  # fmt: skip
    return torch.tensor(np.array(rows))


def affine_invariant(a, b):
    pairs = zip(a.double().numpy(), b.double().numpy(), strict=True)
    logs = [np.log(scipy.linalg.eigh(y, x, eigvals_only=True)) for x, y in pairs]
    return torch.tensor([math.hypot(*log) for log in logs], dtype=torch.float64)


def smallest(distances, gamma):
    gram = np.exp(-gamma * np.asarray(distances, float) ** 2)
    return float(np.linalg.eigvals(gram).real.min())


def worst_gamma(points):
    table = spd.pairwise_distances(affine_invariant, points)
    return float(min(np.geomspace(1e-4, 10, 30), key=lambda g: smallest(table, g)))


def is_kernel(points):
    """By Schoenberg's theorem, with no gamma: are the distances those of a Hilbert space?"""
    logs = embedding(points)
    tables = {
        "log-Euclidean": (logs[:, None] - logs).norm(dim=-1),
        "affine-invariant": spd.pairwise_distances(affine_invariant, points),
        "Bures": spd.pairwise_distances(spd.bures_distance, points),
        "Frobenius": (points[:, None] - points).flatten(2).norm(dim=-1),
    }
    verdicts = {}
    for name, table in tables.items():
        values = torch.linalg.eigvalsh(spd.distance_gram(table))
        verdicts[name] = "kernel" if values[0] > -1e-9 * values[-1] else "refuted"
    return verdicts


def windows(image):
    # Second-layer place i reads rows 2i - 1 to 2i + 2 of the first, which read the pixels.
    first = [range(2 * p - 1, 2 * p + 3) for p in range(-1, 15)]
    reads = [sorted({q for row in first[2 * i : 2 * i + 4] for q in row}) for i in range(7)]
    pixels = {(r, c): v for r, row in enumerate(image.tolist()) for c, v in enumerate(row)}
    return len({
        tuple(pixels.get((r, c)) for r in reads[i] for c in reads[j])
        for i in range(7) for j in range(7)
    })  # fmt: skip


def predicted(image, k):
    # The rank of a random linear encoder of the windows, padding given a random value.
    rng = np.random.default_rng(0)
    padded = np.pad(image.double().numpy(), 3, constant_values=math.pi)
    seen = np.lib.stride_tricks.sliding_window_view(padded, (10, 10))[::4, ::4].reshape(49, 100)
    weights = rng.standard_normal((100, 256))
    features = np.cos(seen @ weights) @ rng.standard_normal((256, k))
    return int(np.linalg.matrix_rank(features - features.mean(0), tol=1e-9))


def verdict_answers(names):
    images, noisy = (names[name][:, 0] for name in ("images", "noisy_images"))
    foreseen = np.array([windows(image) - 1 for image in images])
    found = {}
    for name, code in names["codes"].items():
        x = code.double().flatten(1, 2).numpy()
        x = x - x.mean(1, keepdims=True)
        s = np.linalg.svd(x, compute_uv=False)
        found[name] = (s > 64 * np.finfo(np.float32).eps * s[:, :1]).sum(1)
    shares = {name: ((r == foreseen).mean().item(), (r == 48).mean().item())
              for name, r in found.items()}  # fmt: skip
    noisy_share = sum(windows(image) == 49 for image in noisy) / len(noisy)
    fresh, trained, mean, sample = found.values()
    same = {"B": (fresh, trained), "D": (fresh, mean)}
    verdict = {
        "A": "survives" if trained.min() < 31 and trained.max() == 48 else "refuted",
        "C": "survives" if (sample == 48).all() else "refuted",
        "E": "refuted" if noisy_share == 1 else "open",
        "F": "open",  # a smooth curve may cross strata, a rough one may stay in one
    }
    for letter, (control, claimed) in same.items():
        verdict[letter] = "refuted" if (control == claimed).mean() > 0.9 else "open"
    return {
        "windows": windows,
        "predicted": predicted,
        "shares": shares,
        "noisy_share": noisy_share,
        "verdict": verdict,
    }


ANSWERS = {
    "ranks": lambda names: {
        "singular_values": singular_values,
        "rank": rank,
        "ceilings": ceilings,
    },
    "forgotten": lambda names: {"stratum": stratum, "forgotten": forgotten, "bias": bias},
    "kernels": lambda names: {
        "embedding": embedding,
        "affine_invariant": affine_invariant,
        "smallest": smallest,
        "gamma": worst_gamma(names["points"]),
        "is_kernel": is_kernel(names["points"]),
    },
    "verdict": verdict_answers,
}
