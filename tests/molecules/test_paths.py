"""Paths between codes against plain trigonometry, and their judge against paths made by hand."""

import math

import pytest
import torch
from torch import Tensor

from vae_course.molecules import chemistry
from vae_course.molecules.paths import judge, judge_paths, latent_path


def unit_pairs(n: int, d: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    points = torch.randn(2, n, d, generator=torch.Generator().manual_seed(seed)).double()
    a, b = points / points.norm(dim=-1, keepdim=True)
    return a, b


def test_on_the_unit_sphere_the_arc_is_slerp() -> None:
    a, b = unit_pairs(5, 16)
    theta = torch.acos((a * b).sum(-1, keepdim=True))
    for k, found in enumerate(latent_path(a, b, 11)):
        t = k / 10
        slerp = ((1 - t) * theta).sin() / theta.sin() * a + (t * theta).sin() / theta.sin() * b
        torch.testing.assert_close(found, slerp, rtol=0, atol=1e-12)


def test_the_arc_turns_evenly_and_goes_from_norm_to_norm() -> None:
    a, b = unit_pairs(4, 8, seed=1)
    route = latent_path(3 * a, 5 * b, 5)
    norms = route.norm(dim=-1)
    even = torch.linspace(3, 5, 5).double().unsqueeze(1).expand(5, 4)
    torch.testing.assert_close(norms, even, rtol=1e-12, atol=0)
    cosines = (route[1:] * route[:-1]).sum(-1) / (norms[1:] * norms[:-1])
    whole = torch.acos((a * b).sum(-1))
    torch.testing.assert_close(torch.acos(cosines), (whole / 4).expand(4, 4), rtol=1e-9, atol=0)


def test_the_middle_of_a_line_leaves_the_shell_by_a_factor_of_root_two() -> None:
    d = 4096
    a, b = torch.randn(2, 20, d, generator=torch.Generator().manual_seed(2)).double()
    middle = latent_path(a, b, 3, "line")[1].norm(dim=-1) / math.sqrt(d)
    # |z|^2 / d of N(0, I/2) has standard deviation 1/2 sqrt(2/d); its root, 0.0078: five of them.
    assert ((middle - math.sqrt(0.5)).abs() < 0.04).all()
    on_shell = latent_path(a, b, 3, "arc")[1].norm(dim=-1) / math.sqrt(d)
    assert ((on_shell - 1).abs() < 0.06).all()


@pytest.mark.parametrize("kind", ["arc", "line"])
def test_a_path_meets_its_ends(kind: str) -> None:
    a, b = (2 * x.float() for x in unit_pairs(3, 4))
    route = latent_path(a, b, 4, kind)
    assert route.shape == (4, 3, 4)
    torch.testing.assert_close(route[0], a, rtol=0, atol=2e-6)
    torch.testing.assert_close(route[-1], b, rtol=0, atol=2e-6)


def test_bad_paths_are_refused(unchecked: None) -> None:
    a = torch.eye(3)
    with pytest.raises(ValueError, match="points=2"):
        latent_path(a, a, 2)
    with pytest.raises(ValueError, match="kind='lerp'"):
        latent_path(a, a, kind="lerp")
    with pytest.raises(ValueError, match=r"shapes \(3, 3\) and \(3,\)"):
        latent_path(a, a[0])
    with pytest.raises(ValueError, match="2 points"):
        judge(["C", "CC"])


@pytest.mark.parametrize("inner", [[], ["CC"], ["CC", "C1"], ["C1", "c", "CC", "C("]])
def test_valid_ends_add_two_parts_in_m_plus_2_of_what_is_missing(inner: list[str]) -> None:
    strings = ["C", *(inner or ["x"]), "CO"]
    found, m = judge(strings), len(strings) - 2
    v = found.inner_validity
    assert found.with_ends == pytest.approx(v + 2 * (1 - v) / (m + 2), rel=1e-12)


def test_invalid_ends_do_not_count_against_the_path() -> None:
    found = judge(["C1", "CC", "CCC", "c"])
    assert found.inner_validity == 1 and found.with_ends == 0.5
    assert found.valid == [False, True, True, False]


def test_a_staircase_is_valid_throughout_and_has_nothing_between() -> None:
    stairs = judge(["CCO"] * 5 + ["CCN"] * 6)
    assert stairs.inner_validity == 1
    assert (stairs.distinct, stairs.between) == (2, 0)


def test_molecules_between_are_counted_once_however_spelt() -> None:
    found = judge(["C", "CCO", "OCC", "C1", "CC", "C", "CCC"])
    assert (found.distinct, found.between) == (4, 2)


def test_properties_along_a_path_are_those_of_its_molecules() -> None:
    found = judge(["C", "C1", "CC"])
    assert found.logp[0] == pytest.approx(0.1441 + 4 * 0.1230)
    assert found.logp[2] == pytest.approx(2 * 0.1441 + 6 * 0.1230)
    assert found.qed[0] == chemistry.qed("C")
    assert math.isnan(found.logp[1]) and math.isnan(found.qed[1])


@pytest.mark.parametrize("kind", ["arc", "line"])
def test_each_path_is_decoded_whole_and_in_order(kind: str) -> None:
    def decode(codes: Tensor) -> list[str]:  # chains as long as the angle in the plane, in degrees
        degrees = torch.rad2deg(torch.atan2(codes[:, 1], codes[:, 0]))
        return ["C" * round(float(d)) for d in degrees]

    def at(*degrees: float) -> Tensor:
        angle = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
        return torch.stack([angle.cos(), angle.sin()], 1)

    first, second = judge_paths(decode, at(1, 40), at(5, 20), points=5, kind=kind)
    assert [len(s) for s in first.strings] == [1, 2, 3, 4, 5]
    assert [len(s) for s in second.strings] == [40, 35, 30, 25, 20]
    assert first.between == 3
