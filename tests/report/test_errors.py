"""Intervals of ratios and of other statistics: they cover, and what is paired adds up."""

import pytest
import torch

from vae_course.report.errors import jackknife, ratio


def test_a_ratio_of_proportional_numbers_has_no_error():
    b = torch.rand(50, generator=torch.Generator().manual_seed(0)) + 1
    estimate, each = ratio(3 * b, b)
    assert estimate.value == pytest.approx(3) and estimate.error < 1e-7
    assert each == pytest.approx(3, abs=1e-6)


def test_a_ratio_to_a_constant_is_a_mean():
    a = torch.randn(40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    estimate, each = ratio(a, torch.full_like(a, 2))
    assert estimate.value == pytest.approx(a.mean() / 2)
    assert estimate.error == pytest.approx(a.std() / 2 / 40**0.5)
    assert torch.allclose(each, a / 2)


def test_the_parts_of_a_ratio_have_its_mean():
    g = torch.Generator().manual_seed(1)
    estimate, each = ratio(torch.rand(30, generator=g), torch.rand(30, generator=g) + 0.5)
    assert each.mean().item() == pytest.approx(estimate.value)


def test_the_interval_of_a_ratio_covers_where_that_of_a_mean_does_not():
    g = torch.Generator().manual_seed(2)
    hits = plain = 0
    for _ in range(400):
        b = torch.randn(200, generator=g).exp()
        a = 0.2 * b * (1 + 0.1 * torch.randn(200, generator=g))
        e = ratio(a, b)[0]
        hits += e.low <= 0.2 <= e.high
        fixed = a / b.mean()
        plain += abs(fixed.mean() - 0.2) <= 1.96 * fixed.std() / 200**0.5
    assert 0.92 <= hits / 400 <= 0.98  # .95 within 2.7 standard errors of .011
    assert plain == 400  # nine times too wide: it takes the images' own spread for an error


def test_the_jackknife_of_a_mean_is_that_of_groups():
    x = torch.randn(100, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    estimate, each = jackknife(100, lambda kept: x[kept].mean())
    groups = torch.stack([x[g::10].mean() for g in range(10)])
    assert torch.allclose(each, groups)
    assert estimate.value == pytest.approx(x.mean())
    assert estimate.error == pytest.approx(groups.std() / 10**0.5)


def test_the_jackknife_covers_a_standard_deviation():
    g = torch.Generator().manual_seed(3)
    hits = 0
    for _ in range(300):
        x = torch.randn(200, generator=g)
        e = jackknife(200, lambda kept, x=x: x[kept].std())[0]
        hits += e.low <= 1 <= e.high
    assert 0.91 <= hits / 300 <= 0.99  # .95 within three standard errors of .0126


def test_fewer_images_than_groups_are_a_group_each():
    x = torch.arange(4.0)
    assert jackknife(4, lambda kept: x[kept].mean())[0].n == 4
