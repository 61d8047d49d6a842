"""The shell of a Gaussian ball in the browser: its law is chi's, its slider answers."""

import pytest
import scipy.stats

from tests.site.contract import FigureContract
from tests.site.readings import said, shots
from vae_course.figures import Shell


@pytest.fixture(scope="module")
def figure() -> Shell:
    return Shell()


class TestShell(FigureContract):
    moves = {"In 32 dimensions": {"d": 32}}


def test_the_density_and_the_shares_are_chi(javascript):
    cases = [(d, r) for d in Shell().dimensions for r in (0.05, 0.5, 0.9, 1.0, 1.1, 1.7)]
    got = javascript(Shell, "return a.map(([d, r]) => [m.density(d, r), m.share(d, r)])", cases)
    for (d, r), (density, share) in zip(cases, got, strict=True):
        law = scipy.stats.chi(d, scale=d**-0.5)
        assert density == pytest.approx(law.pdf(r), rel=1e-9, abs=1e-300)
        assert share == pytest.approx(law.cdf(r), rel=1e-9, abs=1e-300)


def test_the_slider_moves_disc_and_readings(visit, figure):
    page = visit(figure)
    assert "In 2 dimensions, 14.7 %" in said(page) and "22.1 %" in said(page)
    [disc] = shots(page, ".vf-side canvas")
    page.get_by_label("Dimension d").fill("9")
    assert "In 32 dimensions, 57.5 %" in said(page)
    assert "4.9 in a million" in said(page)
    assert shots(page, ".vf-side canvas") != [disc]
