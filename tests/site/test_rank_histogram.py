"""Rank histograms in the browser: the library's ranks, and what a reader is to find."""

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.site.contract import FigureContract
from tests.site.readings import said, shots
from vae_course import spd
from vae_course.figures.rank_histogram import TOLERANCES, RankHistogram

N = 40
NAMES = ("CAE", "VAE, sample", "untrained")


def blank(seed: int) -> Tensor:
    """Codes with 9 places, of which from 4 to 7 are different."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(N, 9, 9, generator=generator)
    place = torch.arange(9) % (4 + torch.arange(N) % 4)[:, None]
    return z.take_along_dim(place[..., None], 1).unflatten(1, (3, 3))


@pytest.fixture(scope="module")
def latents() -> dict[str, tuple[Tensor, Tensor]]:
    noise = torch.randn(N, 3, 3, 9, generator=torch.Generator().manual_seed(9))
    # The noise of the sample is small: a coarse tolerance takes it for nothing.
    clean = {"CAE": blank(0), "VAE, sample": blank(1) + 0.01 * noise, "untrained": blank(2)}
    return {name: (z, z + 0.1 * noise.flip(0)) for name, z in clean.items()}


@pytest.fixture(scope="module")
def figure(latents) -> RankHistogram:
    return RankHistogram(latents)


class TestRankHistogram(FigureContract):
    moves = {
        "“VAE, sample”": {"codes": "VAE, sample"},
        "noisy images": {"noisy": True},
        "“CAE” 4 to 7": {"centred": False},
        "Rank of S⁽³⁾": {"tolerance": 0.3},
    }


def table(page) -> list[list[str]]:
    rows = page.locator("tbody tr").all()
    return [row.locator("th, td").all_inner_texts() for row in rows]


def test_the_browsers_histograms_are_those_of_the_librarys_ranks(javascript, figure, latents):
    got = javascript(
        figure,
        "return m.readCounts(Uint8Array.from(a.data), a.names, a.tolerances)",
        {"data": list(figure.counts), "names": 3, "tolerances": len(TOLERANCES)},
    )
    for name, kind in zip(NAMES, got, strict=True):
        for z, by_centring in zip(latents[name], kind, strict=True):
            for centred, by_mode in zip((True, False), by_centring, strict=True):
                for mode, by_tolerance in enumerate(by_mode, start=1):
                    for at in (0, 25, 48, 56):
                        one, tolerance = by_tolerance[at], TOLERANCES[at]
                        r = spd.numerical_rank(z, mode, tolerance=tolerance, centred=centred)
                        assert [0] * one["low"] + one["bins"] == r.bincount().tolist()


def test_summary_and_overlap_are_those_of_the_lists_of_ranks(javascript):
    generator = torch.Generator().manual_seed(0)
    lists = [torch.randint(3 * k, 9, (21 + k,), generator=generator) for k in range(3)]
    lists.append(torch.tensor([3, 3, 5, 5]))  # a tie at the half
    packed = [{"low": int(r.min()), "bins": (r - r.min()).bincount().tolist()} for r in lists]
    summaries, overlaps = javascript(
        RankHistogram,
        """return [a.map((h) => m.summary(h, 8)),
          a.flatMap((h) => a.map((o) => m.overlap(h, o)))]""",
        packed,
    )
    for r, got in zip(lists, summaries, strict=True):
        assert (got["least"], got["most"]) == (r.min(), r.max())
        assert got["median"] == r.median()  # the lower of two
        assert got["full"] == pytest.approx((r == 8).double().mean().item())
    shares = [np.bincount(r, minlength=9) / len(r) for r in lists]
    exact = [np.minimum(p, q).sum() for p in shares for q in shares]
    assert overlaps == pytest.approx(exact, rel=1e-12)


def test_the_reader_finds_that_the_untrained_cannot_be_told_apart_and_a_sample_can(visit, figure):
    page = visit(figure)
    assert "“CAE” 3 to 6, median 4; “untrained” 3 to 6" in said(page)
    assert "overlap by 100 %: nothing tells them apart." in said(page)
    page.get_by_role("button", name="VAE, sample").click()
    assert "“VAE, sample” 8 for every image" in said(page) and "overlap by 0 %." in said(page)
    assert table(page)[2] == [
        "S⁽³⁾", "all 8\n100 % at the ceiling", "3 – 4 – 6\n0 % at the ceiling", "0 %",
    ]  # fmt: skip


def test_noise_lifts_all_to_the_ceiling_and_centring_is_worth_one(visit, figure):
    page = visit(figure)
    page.get_by_role("button", name="noisy").click()
    assert said(page).startswith("Rank of S⁽³⁾, noisy images, ")
    assert "“CAE” 8 for every image; " in said(page)
    page.get_by_label("centred").uncheck()
    assert "“CAE” 9 for every image" in said(page)
    page.get_by_role("button", name="clean").click()
    assert "“CAE” 4 to 7, median 5" in said(page)


def test_at_a_coarse_tolerance_anything_can_be_had(visit, figure, latents):
    page = visit(figure)
    page.get_by_role("button", name="VAE, sample").click()
    page.get_by_label("Tolerance").press("End")
    ranks = spd.numerical_rank(latents["VAE, sample"][0], 3, tolerance=0.1)
    assert ranks.max() < 8
    expected = f"“VAE, sample” {ranks.min()} to {ranks.max()}, median {ranks.median()}; "
    assert expected in said(page)
    assert page.get_by_label("Tolerance").get_attribute("aria-valuetext") == "1.0 · 10⁻¹"


def test_another_outline_changes_the_charts_and_the_table(visit, figure):
    page = visit(figure)
    before = shots(page)
    page.get_by_label("Outline: codes of").select_option("VAE, sample")
    assert page.locator("thead th").all_inner_texts()[1:3] == ["CAE", "VAE, sample"]
    assert "overlap by 0 %" in said(page)
    assert shots(page)[2] != before[2]
    page.get_by_label("Outline: codes of").select_option("CAE")
    assert "Choose two kinds of codes" in said(page)


def test_a_kernel_hears_where_the_reader_stops(told, figure):
    assert told(figure, [56], ("noisy", "VAE, sample")) == {
        "codes": "VAE, sample",
        "compared": "untrained",
        "noisy": True,
        "centred": True,
        "tolerance": pytest.approx(0.1),
    }
