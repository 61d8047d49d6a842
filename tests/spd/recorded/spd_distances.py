"""Record what pyriemann, POT and geoopt say about distances of random covariances.

They are oracles for tests/spd/test_distance.py, too large to be requirements of the tests: install
them where you like (pip install pyriemann POT geoopt), and run this file to write the table anew.
"""

import json
import warnings
from importlib.metadata import version
from pathlib import Path

import geoopt
import numpy as np
import ot
import torch
from pyriemann.utils.distance import distance_logeuclid, distance_riemann, distance_wasserstein

SIZES = [2, 2, 3, 3, 7, 7]


def covariance(n: int, rng: np.random.Generator) -> np.ndarray:
    x = rng.standard_normal((n, n + 3))
    s = x @ x.T / (n + 3)
    return (s + s.T) / 2


def by_geoopt(metric: str, a: np.ndarray, b: np.ndarray) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns that LEM lacks parallel transport
        manifold = geoopt.SymmetricPositiveDefinite(metric)
    return manifold.dist(torch.from_numpy(a), torch.from_numpy(b)).item()


def case(n: int, rng: np.random.Generator) -> dict:
    a, b = covariance(n, rng), covariance(n, rng)
    distances = {
        "log_euclidean_distance": {
            "pyriemann": float(distance_logeuclid(a, b)),
            "geoopt": by_geoopt("LEM", a, b),
        },
        "affine_invariant_distance": {
            "pyriemann": float(distance_riemann(a, b)),
            "geoopt": by_geoopt("AIM", a, b),
        },
        "bures_distance": {
            "pyriemann": float(distance_wasserstein(a, b)),
            "POT": float(ot.gaussian.bures_distance(a, b)),
        },
    }
    return {"a": a.tolist(), "b": b.tolist(), "distances": distances}


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    packages = ["pyriemann", "POT", "geoopt", "numpy", "scipy", "torch"]
    table = {
        "versions": {name: version(name) for name in packages},
        "cases": [case(n, rng) for n in SIZES],
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(table, indent=1) + "\n")
