"""Tokens: the longest from the left, learnt from the most frequent neighbours."""

import pytest
import torch

from vae_course.data.tokens import SYMBOLS, Vocabulary

ALKANES = Vocabulary(["C", "O", "CC"])


def test_two_letter_atoms_are_never_cut():
    vocabulary = Vocabulary(["B", "Br", "C", "CC", "Cl", "C(=", "O", "CB", "(", ")", "="])
    assert vocabulary.split("CCl") == ["C", "Cl"]
    assert vocabulary.split("CCCl") == ["CC", "Cl"]
    assert vocabulary.split("CBr") == ["C", "Br"]
    assert vocabulary.split("CBC") == ["CB", "C"]


def test_the_longest_token_wins_from_the_left():
    assert ALKANES.split("CCCOCC") == ["CC", "C", "O", "CC"]
    assert ALKANES.encode(["CCCO", "O"]).tolist() == [[3, 1, 2, 0], [2, 0, 0, 0]]


def test_byte_pair_encoding_merges_the_most_frequent_neighbours():
    base = len(SYMBOLS)  # CC occurs three times, CN twice; then CC N is the only pair
    learnt = Vocabulary.learn(["CCN", "CCN", "CC"], base + 2)
    assert learnt.tokens[base:] == ("CC", "CCN")
    assert learnt.split("CCN") == ["CCN"]


def test_a_file_with_a_bad_line_is_not_read_half():
    """A StopIteration would end the loop over ``map`` without a word."""
    with pytest.raises(ValueError, match="position 2"):
        list(map(ALKANES.split, ["CC", "CO\n", "O"]))


def test_strings_laid_end_to_end_come_back_as_rows():
    flat = torch.tensor([3, 1, 0, 0, 2, 0]).numpy()
    assert ALKANES.rows(flat, 4).tolist() == [[3, 1, 0, 0], [0, 0, 0, 0], [2, 0, 0, 0]]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: ALKANES.split("C[nH]"), r"'\[nH\]' at position 1, .*no token for"),
        (lambda: ALKANES.split("CO\n"), r"'CO\\n' holds '\\n' at position 2, .*strip the string"),
        (lambda: ALKANES.split("CCl"), "'Cl' at position 1"),
        (lambda: ALKANES.split("NCC"), "'N' at position 0"),
        (lambda: ALKANES.encode(["CCO"], 2), "length=2"),
        (lambda: Vocabulary(["C", "C"]), "distinct"),
        (lambda: Vocabulary.learn(["C"], 3), "size=3"),
        (lambda: Vocabulary.learn(["CC"], 40), "fragments for"),
    ],
)
def test_bad_strings_and_vocabularies_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
