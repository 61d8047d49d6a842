"""SMILES strings as sequences of whole numbers: atoms, bonds and frequent fragments."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np
import torch
from jaxtyping import Int16
from torch import Tensor

# What MOSES is written in. Two letters may be one atom, and brackets hold one.
SYMBOLS = tuple("[nH] [H] Br Cl B C N O S F c n o s ( ) = # - 1 2 3 4 5 6".split())
_SYMBOL = re.compile(r"\[[^]]+\]|Br|Cl|.", re.DOTALL)


class Vocabulary:
    """Tokens and their numbers, from 1; 0 ends a string and fills the rest of its row.

    A token is a symbol or a fragment of several, such as ``c1ccccc1``. A string is read from the
    left, always taking the longest token that fits, so that it has one reading, and any string of
    known symbols has one.

    Args:
        tokens: distinct, not empty; all single symbols that strings may hold are among them.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        if len(set(tokens)) != len(tokens) or not all(tokens):
            raise ValueError("tokens must be distinct and not empty")
        self.tokens = tuple(tokens)
        self._number = {token: i for i, token in enumerate(self.tokens, 1)}
        # Without the look-ahead, CCl could be read as CC and a stray l; likewise Br.
        patterns = [
            re.escape(token) + {"C": "(?!l)", "B": "(?!r)"}.get(token[-1], "")
            for token in sorted(self.tokens, key=len, reverse=True)
        ]
        self._pattern = re.compile("|".join(patterns))

    def __len__(self) -> int:
        """Number of tokens; 0, the end, is not one of them."""
        return len(self.tokens)

    def split(self, string: str) -> list[str]:
        """The tokens of one string; ValueError names the symbol that is in no token, and where."""
        if not isinstance(string, str):
            raise TypeError(f"string must be a str, got {type(string).__name__}")
        parts, position = [], 0
        for found in self._pattern.finditer(string):
            if found.start() != position:
                break
            parts.append(found[0])
            position = found.end()
        if position < len(string):
            symbol = _SYMBOL.match(string, position)
            assert symbol is not None  # it matches any character
            raise ValueError(
                f"{string!r} holds {symbol[0]!r} at position {position}, which this vocabulary has "
                "no token for: strip the string, leave the molecule out, or learn a vocabulary "
                "from strings that hold it"
            )
        return parts

    def encode(
        self, strings: Iterable[str], length: int | None = None
    ) -> Int16[Tensor, "n length"]:
        """Rows of token numbers, closed and filled by zeros.

        Args:
            strings: SMILES.
            length: of a row, at least one more than the tokens of any string (else ValueError);
                None: just enough.
        """
        rows = [[self._number[token] for token in self.split(s)] for s in strings]
        needed = max(map(len, rows), default=0) + 1
        length = needed if length is None else length
        if length < needed:
            raise ValueError(
                f"length={length}: the longest string takes {needed - 1} tokens and an end"
            )
        codes = torch.zeros(len(rows), length, dtype=torch.int16)
        sizes = torch.tensor([len(row) for row in rows])
        filled = torch.arange(length) < sizes.unsqueeze(1)  # (n, length)
        codes[filled] = torch.tensor(list(chain.from_iterable(rows)), dtype=torch.int16)
        return codes

    def rows(self, flat: np.ndarray, length: int) -> Int16[Tensor, "n length"]:
        """Rows of ``length`` from strings that lie one after the other, each closed by one 0."""
        sizes = torch.from_numpy(np.diff(np.flatnonzero(flat == 0), prepend=-1))
        codes = torch.zeros(len(sizes), length, dtype=torch.int16)
        codes[torch.arange(length) < sizes.unsqueeze(1)] = torch.from_numpy(flat.astype(np.int16))
        return codes

    def decode(self, tokens: Tensor) -> list[str]:
        """The strings of rows of token numbers, each up to its first 0."""
        strings = []
        for row in tokens.tolist():
            end = row.index(0) if 0 in row else len(row)
            strings.append("".join(self.tokens[number - 1] for number in row[:end]))
        return strings

    @classmethod
    def learn(cls, strings: Iterable[str], size: int) -> "Vocabulary":
        """``SYMBOLS`` and the fragments that byte-pair encoding finds: always the most frequent
        pair of neighbours becomes a token, until there are ``size``.

        Ties go to the pair that sorts last, so the same strings give the same vocabulary. Source:
        Gage 1994; for SMILES, Li and Fourches 2021.
        """
        if size < len(SYMBOLS):
            raise ValueError(f"size={size}: the {len(SYMBOLS)} symbols alone need that many")
        words = Counter(tuple(_SYMBOL.findall(string)) for string in strings)
        tokens = list(SYMBOLS)
        while len(tokens) < size:
            pairs: Counter[tuple[str, str]] = Counter()
            for word, count in words.items():
                for pair in zip(word, word[1:], strict=False):
                    pairs[pair] += count
            if not pairs:
                raise ValueError(f"size={size}: the strings have fragments for {len(tokens)} only")
            pair = max(pairs, key=lambda p: (pairs[p], p))
            merged = Counter[tuple[str, ...]]()
            for word, count in words.items():
                merged[_merge(word, pair)] += count
            words = merged
            if "".join(pair) not in tokens:  # two pairs may spell the same fragment
                tokens.append("".join(pair))
        return cls(tokens)


def _merge(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    if pair[0] not in word:
        return word
    merged: list[str] = []
    for symbol in word:
        if merged and (merged[-1], symbol) == pair:
            merged[-1] += symbol
        else:
            merged.append(symbol)
    return tuple(merged)
