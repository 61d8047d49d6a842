"""Functions of symmetric matrices: closed forms, gradients where eigenvalues meet, refusals."""

import functools
import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.testing import assert_close

from tests.spd.contract import SPECTRA, normal, symmetrised, wishart, with_spectrum
from vae_course import spd


def test_the_root_of_a_matrix_of_rank_one_is_known():
    """Its null eigenvalues, 1e-17 by rounding, have roots of 1e-9 unless they count as 0."""
    u = normal(5, 7)
    outer = u[:, :, None] * u[:, None]
    assert_close(spd.matrix_sqrt(outer), outer / u.norm(dim=-1)[:, None, None], atol=1e-13, rtol=0)


@pytest.mark.parametrize("values", SPECTRA.values(), ids=SPECTRA)
@pytest.mark.parametrize("function", [spd.matrix_log, spd.matrix_sqrt])
def test_gradients_are_right_where_eigenvalues_meet(function, values):
    """Through eigenvectors they would be NaN, or lost to cancellation."""
    s = with_spectrum(values).requires_grad_()
    f = symmetrised(function)
    scale = 1 / values[0] ** 2
    step = dict(eps=1e-6 * values[0], rtol=1e-6, fast_mode=True)
    assert gradcheck(f, s, atol=1e-7 * scale, **step)
    assert gradgradcheck(f, s, atol=1e-6 * scale, **step)


@pytest.mark.parametrize("rank, values", [(2, (1.0, 1.0, 3.0, 3.0)), (1, (0.0, 1.0, 1.0, 3.0))])
def test_the_projection_has_gradients_where_eigenvalues_meet(rank, values):
    s = with_spectrum(values).requires_grad_()
    f = symmetrised(lambda s: spd.range_projector(s + 0.1 * torch.eye(4).double(), rank))
    assert gradcheck(f, s, rtol=1e-6, atol=1e-7, fast_mode=True)
    assert gradgradcheck(f, s, rtol=1e-5, atol=1e-6, fast_mode=True)


def test_matrix_functions_hold_their_stated_errors_in_float32():
    q = torch.linalg.qr(normal(10, 4, 4))[0]
    s = (q * torch.tensor([1e-3, 0.01, 0.1, 1.0]).double()) @ q.mT  # condition number 1000
    s32 = ((s + s.mT) / 2).float()
    for function, bound in [
        (spd.matrix_log, 1e-6 * 1000),
        (spd.matrix_sqrt, 1e-6 * 1000**0.5),
        (functools.partial(spd.range_projector, rank=2), 1e-6 / (0.1 - 0.01)),
    ]:
        assert (function(s32).double() - function(s32.double())).abs().max() < bound


def test_regularising_adds_a_share_of_the_mean_eigenvalue():
    s = wishart(4, freedom=2)
    oracle = torch.linalg.eigvalsh(s) + 0.01 * torch.linalg.eigvalsh(s).mean(-1, keepdim=True)
    assert_close(torch.linalg.eigvalsh(spd.regularised(s, 0.01)), oracle)
    assert torch.equal(spd.regularised(s, 0.0), s)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: spd.matrix_log(torch.zeros(2, 3)), r"shape \(2, 3\).*square"),
        (lambda: spd.matrix_log(torch.eye(2), regularise=-1.0), "regularise=-1"),
        (lambda: spd.matrix_log(torch.eye(2), regularise=math.inf), "regularise=inf"),
        (lambda: spd.range_projector(torch.eye(3), 2), "eigenvalues 2 and 3 are both 1"),
        (lambda: spd.range_projector(torch.eye(3), 4), "rank=4"),
        (lambda: spd.range_projector(torch.eye(3), 0), "rank=0"),
    ],
)
def test_impossible_requests_are_refused_by_name(call, message, unchecked):
    with pytest.raises(ValueError, match=message):
        call()


def test_half_precision_is_refused(unchecked):
    with pytest.raises(TypeError, match=r"torch.float16.*double"):
        spd.matrix_log(torch.eye(2).half())
