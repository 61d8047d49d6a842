"""Unfoldings, covariances and ranks of latent tensors: ceilings, strata, tolerances."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from tests.spd.contract import normal, orthogonal
from vae_course import spd
from vae_course.data import load
from vae_course.models import networks


def of_tucker_rank(ranks: tuple[int, int, int], shape=(7, 7, 64), seed=0) -> Tensor:
    """A latent whose three unfoldings have these ranks, its columns of mean zero in each mode."""
    bases = []
    for i, (rank, size) in enumerate(zip(ranks, shape, strict=True)):
        basis = normal(size, rank, seed=seed + i)
        bases.append(basis - basis.mean(0))  # then every other mode's columns sum to zero
    return torch.einsum("abc,ia,jb,lc->ijl", normal(*ranks, seed=seed + 9), *bases)


@pytest.mark.parametrize("mode", [1, 2, 3])
def test_an_unfolding_has_the_fibres_of_its_mode_as_columns(mode):
    z = normal(2, 3, 4, 5).numpy()
    ours = spd.unfold(torch.from_numpy(z), mode).numpy()
    for i, latent in enumerate(z):
        rest = [a for a in range(3) if a != mode - 1]
        for index in np.ndindex(*(latent.shape[a] for a in rest)):
            where: list = [slice(None)] * 3
            for axis, value in zip(rest, index, strict=True):
                where[axis] = value
            column = np.ravel_multi_index(index, [latent.shape[a] for a in rest])
            np.testing.assert_array_equal(ours[i, :, column], latent[tuple(where)])


def test_channels_last_makes_the_height_mode_one_and_the_channels_mode_three():
    z = normal(2, 5, 3, 4)  # (batch, k, h, w)
    last = spd.channels_last(z)
    assert last.shape == (2, 3, 4, 5)
    assert torch.equal(spd.unfold(last, 3), z.flatten(-2))
    assert torch.equal(spd.unfold(last, 1)[0, 1], z[0, :, 1, :].T.flatten())


@pytest.mark.parametrize("shape", [(2, 3, 4), (7, 7, 64), (5, 2, 3)])
@pytest.mark.parametrize("dtype, tol", [(torch.float64, 1e-13), (torch.float32, 1e-6)])
def test_the_covariances_are_numpys(shape, dtype, tol):
    z = 3 + normal(2, 3, *shape).to(dtype)
    for mode, ours in enumerate(spd.mode_covariances(z), start=1):
        assert ours.dtype == dtype and ours.shape == (2, 3, shape[mode - 1], shape[mode - 1])
        for index in np.ndindex(2, 3):
            unfolded = np.moveaxis(z[index].double().numpy(), mode - 1, 0)
            oracle = torch.from_numpy(np.cov(unfolded.reshape(shape[mode - 1], -1)))
            scale = oracle.abs().max().item()
            assert_close(ours[index].double(), oracle, rtol=0.0, atol=tol * scale)


def test_uncentred_traces_of_the_three_modes_count_the_same_energy():
    z = normal(4, 3, 5, 6)
    traces = [
        s.diagonal(dim1=-2, dim2=-1).sum(-1) * (z[0].numel() // s.shape[-1] - 1)
        for s in spd.mode_covariances(z, centred=False)
    ]
    for trace in traces:
        assert_close(trace, z.square().flatten(1).sum(1))


def test_two_latents_can_share_all_three_covariances():
    z = normal(3, 4, 5)
    for ours, mirrored in zip(spd.mode_covariances(z), spd.mode_covariances(-z), strict=True):
        assert torch.equal(ours, mirrored)


def test_turning_the_channels_leaves_two_covariances_and_turns_the_third():
    z, q = normal(3, 4, 5), orthogonal(5, seed=1)
    turned = torch.einsum("abc,cd->abd", z, q)
    before = spd.mode_covariances(z, centred=False)
    after = spd.mode_covariances(turned, centred=False)
    assert_close(after[0], before[0])
    assert_close(after[1], before[1])
    assert_close(after[2], q.T @ before[2] @ q)


@pytest.mark.parametrize("shape", [(2, 2, 2), (7, 7, 64), (7, 7, 16), (3, 9, 2), (1, 4, 9)])
@pytest.mark.parametrize("centred", [True, False])
def test_a_latent_with_a_density_reaches_the_ceilings(shape, centred):
    """B1: almost surely full rank, whatever the mean: here a mean of rank one."""
    mean = torch.ones(shape, dtype=torch.float64) * torch.arange(shape[2])
    z = (mean + 0.1 * normal(50, *shape)).float()
    ceilings = spd.rank_ceiling(*shape, centred=centred)
    for mode in (1, 2, 3):
        ranks = spd.numerical_rank(z, mode, centred=centred)
        assert (ranks == ceilings[mode - 1]).all()


def test_the_ceilings_of_the_paper_need_centring():
    assert spd.rank_ceiling(7, 7, 64) == (7, 7, 48)
    assert spd.rank_ceiling(7, 7, 48) == (7, 7, 48)
    assert spd.rank_ceiling(7, 7, 64, centred=False) == (7, 7, 49)


@pytest.mark.parametrize("ranks", [(1, 1, 1), (2, 3, 4), (5, 6, 30), (6, 6, 36)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_rank_is_the_one_the_latent_was_made_with(ranks, dtype):
    z = of_tucker_rank(ranks).to(dtype)
    assert tuple(spd.numerical_rank(z, mode).item() for mode in (1, 2, 3)) == ranks


def test_the_rank_counts_singular_values_above_the_tolerance():
    scales = torch.tensor([1.0, 1e-1, 1e-2, 1e-4, 1e-7], dtype=torch.float64)
    columns = torch.linalg.qr(normal(12, 12) - normal(12, 12).mean(0))[0]
    columns = torch.linalg.svd(columns - columns.mean(0))[0][:, :5]  # orthonormal, mean zero
    z = (orthogonal(5, seed=2) * scales @ columns.T).T.reshape(3, 4, 5)
    assert_close(spd.mode_singular_values(z, 3), scales, rtol=1e-7, atol=1e-15)
    for tolerance, rank in [(0.5, 1), (0.05, 2), (1e-3, 3), (1e-5, 4), (1e-8, 5), (0.0, 5)]:
        assert spd.numerical_rank(z, 3, tolerance=tolerance) == rank
    assert spd.numerical_rank(z, 3) == 4  # 12 / 2^23 = 1.4e-6: float32 can't tell 1e-7 from 0
    assert spd.numerical_rank(1e30 * z, 3) == spd.numerical_rank(1e-30 * z, 3) == 4


def test_singular_values_are_the_roots_of_the_covariances_eigenvalues():
    z = normal(3, 4, 5, 6)
    for mode, s in enumerate(spd.mode_covariances(z), start=1):
        columns = z[0].numel() // s.shape[-1]
        values = spd.mode_singular_values(z, mode).square() / (columns - 1)
        assert_close(values.flip(-1), torch.linalg.eigvalsh(s))


def test_a_constant_latent_has_rank_zero_when_centred_and_one_when_not():
    z = torch.full((2, 7, 7, 8), 0.3)
    for mode in (1, 2, 3):
        assert spd.numerical_rank(z, mode).tolist() == [0, 0]
        assert spd.numerical_rank(z, mode, centred=False).tolist() == [1, 1]


def test_one_latent_and_a_batch_agree():
    z = normal(2, 3, 7, 7, 16)
    for mode in (1, 2, 3):
        batch = spd.numerical_rank(z, mode)
        assert batch.shape == (2, 3) and batch.dtype == torch.int64
        assert batch[1, 2] == spd.numerical_rank(z[1, 2], mode)


def test_the_strata_of_the_paper_have_these_dimensions():
    """B8."""
    assert spd.stratum_dimension(7, 7) == 28
    assert spd.stratum_dimension(48, 64) == 1944
    assert 2 * spd.stratum_dimension(7, 7) + spd.stratum_dimension(48, 64) == 2000
    assert spd.stratum_dimension(0, 5) == 0


@pytest.mark.parametrize("n", [1, 3, 6])
def test_a_stratums_dimension_is_the_rank_of_its_parametrisation(n):
    """S = Y Y', Y of shape (n, r): the rank of the differential at a random Y."""
    for rank in range(1, n + 1):
        y = normal(n, rank, seed=rank)
        jacobian = torch.autograd.functional.jacobian(lambda y: y @ y.T, y).reshape(n * n, -1)
        assert torch.linalg.matrix_rank(jacobian) == spd.stratum_dimension(rank, n)


def test_without_training_the_channel_rank_counts_distinct_patches():
    """The control of chapter 12: the pixels decide, the weights do not.

    A column of the latent sees 10 x 10 pixels, or less at the border; equal patches give equal
    columns, and centring costs one rank. Random weights make distinct columns independent, up to
    patches that differ in too few pixels to be told apart in float32.
    """
    x = load("mnist_small").test[:100]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        z = networks.spatial_encoder((1, 28, 28), 64)(x).detach()
    latent = spd.channels_last(z.unflatten(-1, networks.spatial_shape((1, 28, 28), 64)))
    outside = nn.functional.pad(x, (3, 3, 3, 3), value=-1.0)  # the border is not black
    patches = outside.unfold(2, 10, 4).unfold(3, 10, 4).reshape(100, 49, 100)
    distinct = torch.tensor([len(image.unique(dim=0)) for image in patches])
    rank = spd.numerical_rank(latent, 3)
    assert (rank <= distinct - 1).all()
    assert (rank == distinct - 1).float().mean() >= 0.95


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: spd.unfold(torch.zeros(3, 4), 1), r"shape \(3, 4\).*channels last.*unflatten"),
        (lambda: spd.unfold(torch.zeros(2, 3, 4), 0), "mode=0.*1, 2 and 3"),
        (lambda: spd.channels_last(torch.zeros(3, 4)), r"shape \(3, 4\).*unflatten"),
        (
            lambda: spd.mode_covariances(torch.full((2, 3, 4), torch.nan)),
            "z must be finite",
        ),
        (lambda: spd.mode_covariances(torch.zeros(2, 1, 1)), r"mode 1 to \(2, 1\).*two columns"),
        (lambda: spd.numerical_rank(torch.zeros(2, 3, 4), 1, tolerance=1.0), "tolerance=1.0"),
        (lambda: spd.numerical_rank(torch.zeros(2, 3, 4), 1, tolerance=-0.1), "tolerance=-0.1"),
        (lambda: spd.rank_ceiling(0, 7, 7), "m must be at least 1"),
        (lambda: spd.stratum_dimension(4, 3), "rank=4.*n=3"),
        (lambda: spd.stratum_dimension(-1, 3), "rank=-1"),
    ],
)
def test_what_is_no_latent_is_refused_by_name(call, message, unchecked):
    with pytest.raises(ValueError, match=message):
        call()


def test_whole_numbers_are_no_latent(unchecked):
    with pytest.raises(TypeError, match=r"torch.int64.*z.float\(\)"):
        spd.mode_covariances(torch.ones(2, 3, 4, dtype=torch.int64))


@pytest.mark.parametrize(
    "call",
    [
        spd.matrix_log,
        lambda z: spd.bures_distance(z, z),
        lambda z: spd.geodesic(z, z, 0.5, "log_euclidean"),
        lambda z: spd.mean(z, "bures"),
    ],
)
@pytest.mark.parametrize("shape", [(6, 4, 5, 5), (6, 4, 5, 4), (6, 100)])
def test_codes_that_are_no_matrices_yet_are_refused_with_what_makes_them(unchecked, call, shape):
    z = torch.arange(float(torch.Size(shape).numel())).view(shape)
    with pytest.raises(ValueError, match="mode_covariances"):
        call(z)


def test_codes_as_convolutions_give_them_reach_every_measure():
    """(batch, C, H, W), or flat: their mode covariances, and what is built on these."""
    z = torch.randn(6, 4, 5, 3, generator=torch.Generator().manual_seed(0)).double()
    rows, columns, channels = spd.mode_covariances(spd.channels_last(z))
    assert (rows.shape, columns.shape, channels.shape) == ((6, 5, 5), (6, 3, 3), (6, 4, 4))
    again = spd.mode_covariances(spd.channels_last(z.flatten(1).unflatten(-1, (4, 5, 3))))
    assert all(map(torch.equal, again, (rows, columns, channels)))
    distances = spd.pairwise_distances(spd.log_euclidean_distance, channels)
    assert distances.shape == (6, 6) and (distances + torch.eye(6) > 0).all()
    assert spd.mean(channels, "affine_invariant").shape == (4, 4)
    assert spd.principal_subspace(z.flatten(1), 2).shape == (60, 2)
