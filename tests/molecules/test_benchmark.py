"""MOSES' scores counted by hand, on molecules small enough to count, and by other code."""

import importlib
import math
import sys

import numpy as np
import pytest
import scipy.linalg
import torch
from rdkit import Chem, DataStructs
from rdkit.Chem import BRICS, rdFingerprintGenerator

from vae_course.data import load
from vae_course.molecules import Vocabulary, benchmark

TOLUENE, PHENOL, NAPHTHALENE = "Cc1ccccc1", "Oc1ccccc1", "c1ccc2ccccc2c1"


@pytest.fixture(scope="module")
def real() -> list[str]:
    data = load("moses_small")
    return Vocabulary(data.meta["vocabulary"]).decode(data.test[:600])


def tanimoto(a: str, b: str) -> float:
    maker = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024)
    return DataStructs.TanimotoSimilarity(
        *(maker.GetFingerprint(Chem.MolFromSmiles(s)) for s in (a, b))
    )


def test_similarities_are_rdkits_own() -> None:
    a, b = [TOLUENE, PHENOL, NAPHTHALENE], [PHENOL, "CCO"]
    table = [[tanimoto(x, y) for y in b] for x in a]
    assert benchmark.nearest(a, b) == pytest.approx(np.mean(np.max(table, 1)), rel=1e-6)
    pairs = [tanimoto(x, y) for x in a for y in a]
    assert benchmark.internal_diversity(a) == pytest.approx(1 - np.mean(pairs), rel=1e-6)


def test_one_molecule_again_and_again_is_not_diverse() -> None:
    assert benchmark.internal_diversity([PHENOL] * 5) == pytest.approx(0, abs=1e-6)


def test_scaffolds_with_one_ring_do_not_count() -> None:
    two = [NAPHTHALENE, "Cc1ccc2ccccc2c1", "C1CCC2CCCCC2C1"]  # naphthalene twice, decalin
    found = benchmark._cosine([*two, TOLUENE, "CCO"], [NAPHTHALENE], benchmark._scaffold)
    assert found == pytest.approx(2 / math.sqrt(5))
    assert benchmark._cosine([TOLUENE], [TOLUENE], benchmark._scaffold) == 0


def test_fragments_are_those_of_brics() -> None:
    ester = "CCC(=O)OCc1ccccc1"
    pieces = Chem.MolToSmiles(BRICS.BreakBRICSBonds(Chem.MolFromSmiles(ester))).split(".")
    assert sorted(benchmark._fragments(ester)) == sorted(pieces) and len(pieces) > 1
    assert benchmark._cosine([ester] * 2, [ester], benchmark._fragments) == pytest.approx(1)
    assert benchmark._cosine(["C"], [ester], benchmark._fragments) == 0


def test_the_frechet_distance_is_scipys(real: list[str]) -> None:
    a, b = (benchmark.descriptors(half) for half in (real[:300], real[300:]))
    a, b = (x.numpy() / b.std(0).numpy() for x in (a, b))
    first, second = np.cov(a.T), np.cov(b.T)
    root = scipy.linalg.sqrtm(first @ second).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(first + second - 2 * root)
    found = benchmark.descriptor_distance(real[:300], real[300:])
    assert found == pytest.approx(expected, rel=1e-6) and 10 / 300 < found < 0.2


def test_real_molecules_score_well_and_fools_are_caught(real: list[str]) -> None:
    reference, other = real[:300], real[300:]
    best = benchmark.compare(other, reference)
    same = benchmark.compare(reference, reference)
    assert same.nearest == pytest.approx(1) and same.fragments == pytest.approx(1)
    assert same.scaffolds == pytest.approx(1) and same.descriptors == pytest.approx(0, abs=1e-9)
    chains = benchmark.compare(["C" * k for k in range(10, 40)], reference)
    assert chains.fragments < 0.1 < best.fragments and chains.scaffolds == 0 < best.scaffolds
    assert chains.nearest < best.nearest and chains.descriptors > 10 > best.descriptors
    methyl = benchmark.compare(["C" + s for s in reference], reference)  # "novel" molecules
    assert methyl.nearest > best.nearest + 0.1


def test_what_is_no_molecule_is_skipped_and_too_few_are_refused(real: list[str]) -> None:
    some = real[:40]
    assert benchmark.compare([*some, "C1CC", ""], real) == benchmark.compare(some, real)
    with pytest.raises(ValueError, match="strings holds 2 molecules"):
        benchmark.compare(["CCO", "CCC", "C1C"], real)
    with pytest.raises(ValueError, match="reference holds 0 molecules"):
        benchmark.compare(real, [])
    with pytest.raises(ValueError, match="constant in the reference"):
        benchmark.descriptor_distance(real[:20], ["CCO"] * 20)


def test_descriptors_are_named_and_finite(real: list[str]) -> None:
    found = benchmark.descriptors(real[:50])
    assert found.shape == (50, 2 + len(benchmark.DESCRIPTORS)) and torch.isfinite(found).all()


def test_without_rdkit_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rdkit", None)
    monkeypatch.delitem(sys.modules, benchmark.__name__)
    with pytest.raises(ImportError, match=r"pip install 'vae_course\[molecules\]'"):
        importlib.import_module(benchmark.__name__)
