"""Rank histograms, the Python side: every count is the library's rank, and the sizes are small."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.figures.contract import FigureContract
from vae_course import spd
from vae_course.figures.rank_histogram import TOLERANCES, RankHistogram

SHAPE = (3, 3, 9)  # ceilings 3, 3, 8 centred and 3, 3, 9 not


def codes(count: int, distinct: int | None, seed: int) -> Tensor:
    """Codes whose 9 places hold from 4 to ``distinct`` different columns; None: all do."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(count, *SHAPE, generator=generator)
    if distinct:
        kinds = torch.randint(4, distinct + 1, (count,), generator=generator)
        place = torch.arange(9) % kinds[:, None]
        z = z.flatten(1, 2).take_along_dim(place[..., None], 1).unflatten(1, (3, 3))
    return z


def unpacked(figure: RankHistogram) -> list[dict[int, int]]:
    """{rank: codes}, over names, clean and noisy, centred and not, modes and tolerances."""
    blocks, at = [], 0
    while at < len(figure.counts):
        low, bins = figure.counts[at], figure.counts[at + 1]
        counts = np.frombuffer(figure.counts, "<u2", bins, at + 2)
        blocks.append({low + i: int(n) for i, n in enumerate(counts) if n})
        at += 2 + 2 * bins
    return blocks


@pytest.fixture(scope="module")
def latents() -> dict[str, tuple[Tensor, Tensor]]:
    pairs = {"CAE": codes(30, 7, 0), "sample": codes(30, None, 1), "untrained": codes(30, 7, 2)}
    generator = torch.Generator().manual_seed(3)
    # the scales of the channels are spread, so that ranks fall where the tolerance grows
    scale = 10.0 ** -torch.arange(0, 4.5, 0.5)
    return {
        name: (scale * z, scale * (z + 0.1 * torch.randn(z.shape, generator=generator)))
        for name, z in pairs.items()
    }


@pytest.fixture(scope="module")
def figure(latents) -> RankHistogram:
    return RankHistogram(latents)


ONE = torch.zeros(2, 2, 2, 2)


class TestRankHistogram(FigureContract):
    kind = RankHistogram
    other = {"noisy": True}
    page = 60_000
    refused = [
        ({"latents": {}}, "latents must hold at least one"),
        ({"latents": {"a": (ONE,)}}, r"latents\['a'\] must be \(clean, noisy\), got 1"),
        (
            {"latents": {"a": (ONE, ONE[0])}},
            r"latents\['a'\] must be \(N, m, n, k\).* got \(2, 2, 2\)",
        ),
        (
            {"latents": {"a": (ONE, ONE), "b": (ONE[1:], ONE)}},
            r"latents\['b'\].* got \(1, 2, 2, 2\)",
        ),
        ({"latents": {"a": (ONE, ONE / 0)}}, r"latents\['a'\] must be finite"),
        (
            {"latents": {"a": (ONE[:0], ONE[:0])}},
            r"1 to 65,535 codes.* got \(0, 2, 2, 2\)",
        ),
        ({"latents": {"a": (torch.zeros(1, 1, 2, 256),) * 2}}, "at most 255"),
        ({"codes": "b"}, r"codes must be one of \['a'\], got 'b'"),
        ({"compared": "b"}, "compared must be one of"),
        ({"tolerance": 0.5}, "tolerance must be from 1e-8 to 1e-1, got 0.5"),
        ({"tolerance": math.nan}, "got nan"),
    ]

    def given(self) -> dict:
        return {"latents": {"a": (ONE, ONE)}}

    @pytest.fixture(autouse=True)
    def full_size(self, figure) -> None:
        self.whole = figure

    def largest(self) -> RankHistogram:
        return self.whole


def test_each_count_is_that_of_the_librarys_ranks(figure, latents):
    blocks = iter(unpacked(figure))
    for pair in latents.values():
        for z in pair:
            for centred in (True, False):
                for mode in (1, 2, 3):
                    for tolerance in TOLERANCES:
                        found = next(blocks)
                        assert sum(found.values()) == 30
                        if tolerance in TOLERANCES[::7]:
                            ranks = spd.numerical_rank(
                                z, mode, tolerance=tolerance, centred=centred
                            )
                            assert found == {r: int((ranks == r).sum()) for r in ranks.tolist()}
    assert next(blocks, None) is None


def test_u_distinct_columns_have_rank_u_less_1_and_noise_the_ceiling():
    z = codes(20, 7, 5)
    figure = RankHistogram({"codes": (z, z + torch.rand(z.shape))})
    at = TOLERANCES.index(figure.tolerance)
    third = np.array(unpacked(figure)).reshape(2, 2, 3, len(TOLERANCES))[:, :, 2, at]
    ranks = [len(one.unique(dim=0)) - 1 for one in z.flatten(1, 2)]
    assert third[0, 0] == {r: ranks.count(r) for r in set(ranks)} and len(set(ranks)) > 1
    assert third[0, 1] == {r + 1: ranks.count(r) for r in set(ranks)}
    assert (third[1, 0], third[1, 1]) == ({8: 20}, {9: 20})


def test_it_starts_at_float32s_rounding_with_the_first_against_the_last(figure):
    default = 9 * 2.0**-23  # the third unfolding is 9 x 9, the other two are 3 x 27
    assert figure.spec["defaults"] == [3 * default, 3 * default, default]
    assert abs(math.log10(figure.tolerance / default)) <= 1 / 16
    assert figure.tolerance in TOLERANCES and (TOLERANCES[0], TOLERANCES[-1]) == (1e-8, 0.1)
    assert (figure.codes, figure.compared) == ("CAE", "untrained")
    assert (figure.noisy, figure.centred) == (False, True)
    assert figure.spec["ceilings"] == [(3, 3, 8), (3, 3, 9)]


def test_codes_of_zeros_have_rank_0():
    zeros = torch.zeros(3, 2, 2, 2)
    assert unpacked(RankHistogram({"dead": (zeros, zeros)})) == [{0: 3}] * 12 * len(TOLERANCES)
