r"""Do generated molecules look like real ones? The scores of MOSES, and one Fréchet distance.

Needs RDKit, the extra ``molecules``. Each takes canonical or other SMILES and skips what is no
molecule, as MOSES does. **All but internal diversity depend on how many molecules there are**, on
both sides: a nearest neighbour is nearer among more, and rare scaffolds match only in large sets.
So compare at equal counts, and beside real molecules against other real ones, the best to be had.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from vae_course.molecules.chemistry import logp, molecule, qed
from vae_course.spd import bures_distance

try:
    from rdkit import Chem
    from rdkit.Chem import rdFingerprintGenerator, rdMolDescriptors, rdmolops
    from rdkit.Chem.Scaffolds import MurckoScaffold
except ImportError as error:
    raise ImportError(
        "vae_course.molecules.benchmark needs RDKit: pip install 'vae_course[molecules]'"
    ) from error

_KEPT = 50_000  # molecules whose features are remembered: one set is compared many times

DESCRIPTORS: dict[str, Callable[[Any], float]] = {
    "molecular weight": rdMolDescriptors.CalcExactMolWt,
    "polar surface": rdMolDescriptors.CalcTPSA,
    "hydrogen-bond donors": rdMolDescriptors.CalcNumHBD,
    "hydrogen-bond acceptors": rdMolDescriptors.CalcNumHBA,
    "rotatable bonds": rdMolDescriptors.CalcNumRotatableBonds,
    "rings": rdMolDescriptors.CalcNumRings,
    "aromatic rings": rdMolDescriptors.CalcNumAromaticRings,
    "share of sp3 carbons": rdMolDescriptors.CalcFractionCSP3,
}
"""RDKit's, of a molecule; ``descriptors`` puts logP and QED in front."""


class Scores(NamedTuple):
    """What ``compare`` finds."""

    internal_diversity: float
    """1 less the mean Tanimoto similarity of all pairs, each with itself included; IntDiv."""
    nearest: float
    """Mean similarity to the most similar molecule of the reference; SNN."""
    fragments: float
    """Cosine of the two sets' counts of BRICS fragments; Frag."""
    scaffolds: float
    """Cosine of the two sets' counts of scaffolds with two rings or more; Scaf."""
    descriptors: float
    """Squared Fréchet distance of ten descriptors' Gaussians, see ``descriptor_distance``."""


def compare(strings: Sequence[str], reference: Sequence[str]) -> Scores:
    """MOSES' scores of molecules against a reference, and the Fréchet distance of descriptors.

    Tanimoto similarities are of Morgan fingerprints (radius 2, 1024 bits). Invalid strings are
    skipped, and repeated molecules count as often as they come. Not among the scores: FCD, which
    needs the network ChemNet.

    Raises:
        ValueError: for fewer than 12 molecules on either side.

    Source: Polykovskiy et al. 2020, and the authors' code for what the paper leaves open.
    """
    ours, theirs = known(strings), known(reference)
    for name, kept in (("strings", ours), ("reference", theirs)):
        if len(kept) < 12:
            raise ValueError(f"{name} holds {len(kept)} molecules: give at least 12")
    return Scores(
        internal_diversity(ours),
        nearest(ours, theirs),
        _cosine(ours, theirs, _fragments),
        _cosine(ours, theirs, _scaffold),
        descriptor_distance(ours, theirs),
    )


def known(strings: Iterable[str]) -> list[str]:
    """Those of the strings that are molecules."""
    return [s for s in strings if molecule(s) is not None]


def internal_diversity(strings: Sequence[str]) -> float:
    """1 less the mean similarity of all pairs of molecules, each with itself included."""
    return 1 - float(_similarities(strings, strings).mean())


def nearest(strings: Sequence[str], reference: Sequence[str]) -> float:
    """Mean similarity of each molecule to the most similar one of the reference."""
    return float(_similarities(strings, reference).amax(1).mean())


def descriptors(strings: Sequence[str]) -> Float[Tensor, "n k"]:
    """logP, QED and ``DESCRIPTORS`` of each molecule, in float64."""
    return torch.tensor([_descriptors(s) for s in strings], dtype=torch.float64)


def descriptor_distance(strings: Sequence[str], reference: Sequence[str]) -> float:
    r"""Squared Fréchet distance of the Gaussians fitted to ten descriptors of two sets.

    .. math:: \|m_1 - m_2\|^2 + \operatorname{tr}\big(C_1 + C_2 - 2 (C_1^{1/2} C_2
              C_1^{1/2})^{1/2}\big)

    with each descriptor in units of its standard deviation in the reference. FCD's formula, with
    what a chemist counts in place of a network's features: **its numbers are not FCD's**. Two
    samples of one law are not at 0: with n molecules each they are about :math:`k / n` apart in the
    mean alone. ValueError where a descriptor is constant in the reference.
    """
    ours, theirs = descriptors(strings), descriptors(reference)
    scale = theirs.std(0)
    if not (scale > 0).all():
        raise ValueError("a descriptor is constant in the reference: give more molecules")
    ours, theirs = ours / scale, theirs / scale
    apart = (ours.mean(0) - theirs.mean(0)).square().sum()
    return float(apart + bures_distance(ours.T.cov(), theirs.T.cov()).square())


def _similarities(a: Sequence[str], b: Sequence[str]) -> Float[Tensor, "n m"]:
    """Tanimoto similarities of all pairs; 1 for two molecules without any bit."""
    first, second = (torch.stack([_bits(s) for s in side]).float() for side in (a, b))
    common = first @ second.T
    either = first.sum(1, keepdim=True) + second.sum(1) - common
    return torch.where(either > 0, common / either.clamp(min=1), 1.0)


def _cosine(a: Sequence[str], b: Sequence[str], parts: Callable[[str], tuple[str, ...]]) -> float:
    """Cosine of the counts of parts in two sets; 0 where either has none."""
    first, second = (Counter(part for s in side for part in parts(s)) for side in (a, b))
    inner = sum(count * second[part] for part, count in first.items())
    norms = [sum(count**2 for count in side.values()) ** 0.5 for side in (first, second)]
    return inner / (norms[0] * norms[1]) if inner else 0.0


@lru_cache(maxsize=_KEPT)
def _bits(smiles: str) -> Tensor:
    maker = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=1024)
    return torch.from_numpy(maker.GetFingerprintAsNumPy(molecule(smiles)))


@lru_cache(maxsize=_KEPT)
def _fragments(smiles: str) -> tuple[str, ...]:
    return tuple(Chem.MolToSmiles(rdmolops.FragmentOnBRICSBonds(molecule(smiles))).split("."))


@lru_cache(maxsize=_KEPT)
def _scaffold(smiles: str) -> tuple[str, ...]:
    found = MurckoScaffold.GetScaffoldForMol(molecule(smiles))
    return (Chem.MolToSmiles(found),) if found.GetRingInfo().NumRings() > 1 else ()


@lru_cache(maxsize=_KEPT)
def _descriptors(smiles: str) -> tuple[float, ...]:
    found = molecule(smiles)
    return (logp(smiles), qed(smiles), *(float(f(found)) for f in DESCRIPTORS.values()))
