"""Chemistry of strings against molecules that everyone can draw, and published tables."""

import importlib
import sys
from xml.etree import ElementTree

import pytest
from rdkit import Chem

from vae_course.molecules import chemistry

ASPIRIN, CAFFEINE = "CC(=O)Oc1ccccc1C(=O)O", "Cn1c(=O)c2c(ncn2C)n(C)c1=O"
IBUPROFEN = "CC(C)Cc1ccc(cc1)C(C)C(=O)O"
MOSES = "CCCS(=O)c1ccc2[nH]c(=NC(=O)OC)[nH]c2c1"

NOT_MOLECULES = {
    "ring left open": "C1CCC",
    "branch left open": "CC(C",
    "branch never opened": "CC)C",
    "five bonds at a carbon": "C(C)(C)(C)(C)C",
    "aromatic without a ring": "cc",
    "ring without aromaticity": "c1cccc1",
    "bond to nowhere": "CC=",
    "nothing": "",
    "wildcard": "C*",
    "blank": "C C",
    "line break": "C\nC",
    "not ASCII": "CCé",
}


@pytest.mark.parametrize("smiles", NOT_MOLECULES.values(), ids=NOT_MOLECULES)
def test_not_every_string_is_a_molecule(smiles: str) -> None:
    assert chemistry.valid([smiles]) == [False]
    assert chemistry.canonical(smiles) is None


def test_molecules_are_valid_and_so_is_any_row_of_carbons() -> None:
    strings = [ASPIRIN, CAFFEINE, MOSES, "[nH]1cccc1", "C" * 200]
    assert chemistry.valid(strings) == [True] * 5


def test_not_a_line_reaches_the_console(capfd: pytest.CaptureFixture[str]) -> None:
    chemistry.valid(list(NOT_MOLECULES.values()))
    assert capfd.readouterr() == ("", "")
    Chem.MolFromSmiles("C1CC")  # and the caller's own RDKit speaks as before
    assert "unclosed ring" in capfd.readouterr().err


@pytest.mark.parametrize("smiles", [ASPIRIN, CAFFEINE, IBUPROFEN, MOSES])
def test_every_spelling_of_a_molecule_has_one_canonical_string(smiles: str) -> None:
    spellings = set(Chem.MolToRandomSmilesVect(Chem.MolFromSmiles(smiles), 20, randomSeed=1))
    assert len(spellings) > 10
    assert len({chemistry.canonical(s) for s in spellings}) == 1
    assert all(chemistry.same_molecule(smiles, s) for s in spellings)


def test_equal_molecules_need_not_be_equal_strings() -> None:
    assert chemistry.same_molecule("C1=CC=CC=C1", "c1ccccc1")  # benzene, in two notations
    assert not chemistry.same_molecule("CCO", "COC")  # ethanol and its isomer
    assert not chemistry.same_molecule("C1CC", "C1CC")  # equal strings, but no molecule


@pytest.mark.parametrize(
    "smiles, rings",
    [
        (IBUPROFEN, "c1ccccc1"),
        ("CC(C)CO", ""),
        ("OC1CCCCC1CCc1ccccc1C", "c1ccc(CCC2CCCCC2)cc1"),  # the chain between two rings stays
        ("CC1CCCCC1=O", "O=C1CCCCC1"),  # RDKit keeps what hangs by a double bond
    ],
)
def test_a_scaffold_is_rings_and_the_chains_between(smiles: str, rings: str) -> None:
    assert chemistry.scaffold(smiles) == rings


@pytest.mark.parametrize("n", [1, 2, 5, 12])
def test_logp_of_a_chain_is_a_sum_over_its_atoms(n: int) -> None:
    # Wildman and Crippen 1999, table 1: C1 (carbon bound to carbon and hydrogen), H1.
    assert chemistry.logp("C" * n) == pytest.approx(0.1441 * n + 0.1230 * (2 * n + 2), abs=1e-9)


@pytest.mark.parametrize(
    "smiles, qed, logp",
    [(ASPIRIN, 0.55, 1.31), (CAFFEINE, 0.54, -1.03), (IBUPROFEN, 0.82, 3.07)],
)
def test_known_drugs_have_their_known_properties(smiles: str, qed: float, logp: float) -> None:
    # As the data base ChEMBL lists them, rounded to two digits.
    assert chemistry.qed(smiles) == pytest.approx(qed, abs=0.0051)
    assert chemistry.logp(smiles) == pytest.approx(logp, abs=0.0051)


def test_similarity_is_one_for_itself_symmetric_and_small_for_strangers() -> None:
    assert chemistry.similarity(ASPIRIN, ASPIRIN) == 1
    a, b = chemistry.similarity(ASPIRIN, CAFFEINE), chemistry.similarity(CAFFEINE, ASPIRIN)
    assert a == b and 0 <= a < 0.2
    assert chemistry.similarity("CCCCO", "CCCCCO") > chemistry.similarity("CCCCO", CAFFEINE)


@pytest.mark.parametrize("name", ["scaffold", "qed", "logp"])
def test_properties_of_what_is_no_molecule_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="'C1CC' is not a molecule"):
        getattr(chemistry, name)("C1CC")


# ---- the four numbers, and the fools that beat them


def test_quality_counts_by_hand() -> None:
    strings = ["CCO", "OCC", "C1CC", "c1ccccc1C", "Cc1ccccc1", "c1ccccc1CC", "C1CCCCC1", "c1cc"]
    found = chemistry.quality(strings, ["CCO", "C1CCCCC1"])
    # Valid: 6. Distinct: ethanol, toluene, ethylbenzene, cyclohexane. Scaffolds: two rings.
    assert (found.validity.value, found.validity.n) == (6 / 8, 8)
    assert found.uniqueness == 4 / 6
    assert (found.novelty.value, found.novelty.n) == (2 / 4, 4)
    assert found.scaffold_diversity == 2 / 6


def test_one_letter_is_perfectly_valid() -> None:
    found = chemistry.quality(["C"] * 50, ["CCO"])
    assert found.validity.value == found.novelty.value == 1
    assert found.uniqueness == 1 / 50 and found.scaffold_diversity == 0


def test_a_copy_of_the_training_set_is_valid_and_unique_but_not_new() -> None:
    found = chemistry.quality([MOSES, CAFFEINE], {MOSES, CAFFEINE})
    assert found.validity.value == found.uniqueness == 1
    assert found.novelty.value == 0


def test_rows_of_carbon_are_valid_unique_and_novel() -> None:
    found = chemistry.quality(["C" * n for n in range(40, 90)], {MOSES})
    assert found.validity.value == found.uniqueness == found.novelty.value == 1
    assert found.scaffold_diversity == 0


def test_a_known_molecule_spelt_otherwise_is_not_new() -> None:
    assert chemistry.quality(["OCC"], {"CCO"}).novelty.value == 0


def test_training_strings_that_are_not_canonical_are_refused() -> None:
    # Against them a copy would pass for new: the mistake that flatters.
    with pytest.raises(ValueError, match="training holds 'OCC', for which RDKit writes 'CCO'"):
        chemistry.quality(["CCO"], ["OCC"])


def test_uniqueness_and_scaffold_diversity_fall_as_more_is_drawn() -> None:
    rings = [f"C1CCCCC1{'C' * n}" for n in range(10)] + ["c1ccccc1", "C1CCC1"]
    few, many = (chemistry.quality(rings * k, set()) for k in (1, 3))
    assert (few.uniqueness, many.uniqueness) == (1, 1 / 3)
    assert (few.scaffold_diversity, many.scaffold_diversity) == (3 / 12, 3 / 36)


def test_of_no_molecule_nothing_is_claimed() -> None:
    for strings in ([], ["C1CC"]):
        found = chemistry.quality(strings, {"C"})
        assert found.uniqueness == found.scaffold_diversity == found.validity.value == 0
        assert found.novelty == (0.0, 0.0, 1.0, 0)


# ---- drawings


def test_a_drawing_has_alt_text_and_takes_the_pages_ink() -> None:
    drawn = chemistry.draw([MOSES, "C1<C"], captions=["a & b", ""], columns=1, alt="Two strings.")
    root = ElementTree.fromstring(drawn.svg)
    assert root.attrib["role"] == "img"
    assert root.attrib["aria-label"] == drawn.alt
    assert drawn.alt == f"Two strings. Strings: 1: {MOSES}; 2: C1<C, no molecule."
    assert "currentColor" in drawn.svg and "#000000" not in drawn.svg
    assert "http" not in drawn.svg.replace('xmlns="http://www.w3.org/2000/svg"', "")
    namespace = "{http://www.w3.org/2000/svg}"
    assert {t.text for t in root.iter(f"{namespace}text")} >= {"a & b", "C1<C"}
    assert len(list(root.iter(f"{namespace}path"))) > 20


def test_drawings_lie_in_rows_of_equal_cells() -> None:
    root = ElementTree.fromstring(chemistry.draw(["C", "CC", "CCC"], columns=2, size=(50, 30)).svg)
    assert root.attrib["viewBox"] == "0 0 100 100"
    moves = [cell.attrib["transform"] for cell in root]
    assert moves == ["translate(0,0)", "translate(50,0)", "translate(0,50)"]


def test_without_rdkit_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rdkit", None)
    monkeypatch.delitem(sys.modules, chemistry.__name__)
    with pytest.raises(ImportError, match=r"pip install 'vae_course\[molecules\]'"):
        importlib.import_module(chemistry.__name__)
