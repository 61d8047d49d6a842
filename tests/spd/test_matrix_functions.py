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
@pytest.mark.parametrize("function", [spd.matrix_log, spd.matrix_sqrt, spd.matrix_exp])
def test_gradients_are_right_where_eigenvalues_meet(function, values):
    """Through eigenvectors they would be NaN, or lost to cancellation."""
    s = with_spectrum(values).requires_grad_()
    f = symmetrised(function)
    scale = 1 / values[0] ** 2
    # A step short against the length on which the function bends, long against rounding.
    eps = 1e-5 if function is spd.matrix_exp else 1e-6 * values[0]
    step = dict(eps=eps, rtol=1e-6, fast_mode=True)
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
        (
            lambda: spd.matrix_log(torch.eye(2), regularise=math.inf),
            "regularise must be finite",
        ),
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


def test_the_exponential_is_torchs_and_undoes_the_logarithm():
    s = wishart(5)
    assert_close(spd.matrix_exp(s), torch.linalg.matrix_exp(s))
    assert_close(spd.matrix_exp(spd.matrix_log(s)), s, rtol=1e-11, atol=1e-12)
    far = with_spectrum((-300.0, -1.0, 0.0, 300.0))  # its divided differences span 600 logs
    exact = torch.linalg.matrix_exp(far)
    assert_close(spd.matrix_exp((far + far.mT) / 2), exact, rtol=1e-10, atol=0.0)
    narrow = spd.matrix_exp(far.float().div(4)).double()
    assert_close(narrow, spd.matrix_exp(far / 4), rtol=0, atol=1e-6 * 75 * math.exp(75))
    with pytest.raises(ValueError, match="s has the eigenvalue 100: .*overflows torch.float32"):
        spd.matrix_exp(torch.diag(torch.tensor([1.0, 100.0])))


@pytest.mark.parametrize("values", SPECTRA.values(), ids=SPECTRA)
def test_the_exponential_has_the_gradients_of_torchs(values):
    s, g = with_spectrum(values).requires_grad_(), normal(4, 4)
    ours, oracle = (
        torch.autograd.functional.hvp(lambda s, f=f: (f((s + s.mT) / 2) * g).sum(), s, g)[1]
        for f in (spd.matrix_exp, torch.linalg.matrix_exp)
    )
    assert_close(ours, oracle, rtol=1e-9, atol=1e-9)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # PyTorch's, at the first jvp
@pytest.mark.parametrize("function", [spd.matrix_log, spd.matrix_sqrt, spd.matrix_exp])
def test_a_third_derivative_is_refused_not_wrong(function):
    s = wishart(3, batch=(), seed=1).requires_grad_()
    value = function(s).sum()
    for _ in range(2):
        (value,) = torch.autograd.grad(value, s, create_graph=True)
        value = value[0, 1]
    with pytest.raises(RuntimeError, match="one derivative too many"):
        torch.autograd.grad(value, s)
    f = lambda s: function((s + s.mT) / 2).sum()  # noqa: E731
    for transform in (torch.func.jacrev, torch.func.jacfwd):
        with pytest.raises(RuntimeError, match="one derivative too many"):
            transform(torch.func.jacfwd(torch.func.jacrev(f)))(s.detach())


def test_a_default_device_and_autocast_change_nothing():
    s = wishart(3, batch=(4,)).float()
    calls = [
        lambda: spd.geodesic(s[0], s[1], 0.3, "bures"),
        lambda: spd.mean(s, "bures"),
        lambda: spd.regularised(s, 0.1),
        lambda: spd.pairwise_distances(spd.bures_distance, s),
    ]
    for call in calls:
        expected = call()
        with torch.device("meta"):
            assert torch.equal(call(), expected)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(call(), expected)
