"""From a latent tensor to its three covariance matrices, their ranks and their strata."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from vae_course.arguments import check_finite, check_number, check_real, check_whole
from vae_course.spd.precision import full_precision

FLOAT32_EPS = 2.0**-23  # latents come from float32 networks, whatever dtype they are stored in


def channels_last(z: Float[Tensor, "*batch k h w"]) -> Float[Tensor, "*batch h w k"]:
    """Latents as convolutions give them, (\\*batch, k, h, w), in the order of the modes.

    Mode 1 is then the height, mode 2 the width, mode 3 the channels. A view, no copy. ValueError
    for fewer than three dimensions.
    """
    if check_real("z", z).ndim < 3:
        raise ValueError(
            f"z has shape {tuple(z.shape)}; a spatial latent is (*batch, channels, height, width): "
            "z.unflatten(-1, (k, h, w)) undoes a flattening"
        )
    return z.movedim(-3, -1)


def unfold(z: Float[Tensor, "*batch m n k"], mode: int) -> Float[Tensor, "*batch rows columns"]:
    """The latent as a matrix with one row for each index of a mode (1, 2 or 3).

    (\\*batch, m, n, k) to (\\*batch, m, n k), (\\*batch, n, m k) or (\\*batch, k, m n); the other
    two modes run over the columns in their order, the last fastest. ValueError for another mode
    or fewer than three dimensions. Source: Kolda and Bader 2009, up to the order of the columns.
    """
    if check_real("z", z).ndim < 3:
        raise ValueError(
            f"z has shape {tuple(z.shape)}; a latent tensor is (m, n, k) or (batch, m, n, k), "
            "channels last; of flat codes channels_last(z.unflatten(-1, (k, m, n)))"
        )
    if mode not in (1, 2, 3):
        raise ValueError(f"mode={mode!r}: the modes of an m x n x k latent are 1, 2 and 3")
    return z.movedim(mode - 4, -3).flatten(-2)


@full_precision
def mode_covariances(
    z: Float[Tensor, "*batch m n k"], *, centred: bool = True
) -> tuple[Float[Tensor, "*batch m m"], Float[Tensor, "*batch n n"], Float[Tensor, "*batch k k"]]:
    r"""The covariance matrices of a latent's rows, columns and channels.

    .. math:: S^{(a)} = \frac{1}{N_a - 1}\, Z_{(a)} \Big(I - \frac{1}{N_a} \mathbf 1 \mathbf 1^\top
              \Big) Z_{(a)}^\top

    with ``unfold(z, a)`` for :math:`Z_{(a)}` and N its number of columns. With ``centred=False``
    the second factor is left out. For one latent (m, n, k) or any batch of them, channels last:
    of codes (batch, C, H, W) take ``channels_last`` first, or C is the first mode. In the dtype of
    z; symmetric and positive semi-definite, of rank at most ``rank_ceiling``. Not injective: z and
    -z share all three. ValueError for NaN, infinity, or a single column. float32: 1e-6 of the
    largest entry. Source: Shrivastava, Rameshan and Agnihotri 2024, in the form of chapter 12.
    """
    matrices = [_matrix(z, mode, centred) for mode in (1, 2, 3)]
    s1, s2, s3 = (x @ x.mT / (x.shape[-1] - 1) for x in matrices)
    return s1, s2, s3


def mode_singular_values(
    z: Float[Tensor, "*batch m n k"], mode: int, *, centred: bool = True
) -> Float[Tensor, "*batch r"]:
    r"""Singular values of the centred unfolding, largest first, in float64.

    :math:`\sigma_i^2 / (N_a - 1)` are the eigenvalues of the mode's covariance, with twice the
    digits that its own eigenvalues would keep. Arguments and errors as in ``mode_covariances``; a
    gradient where singular values differ.
    """
    return torch.linalg.svdvals(_matrix(check_real("z", z).double(), mode, centred))


def numerical_rank(
    z: Float[Tensor, "*batch m n k"],
    mode: int,
    *,
    tolerance: float | None = None,
    centred: bool = True,
) -> Int64[Tensor, "*batch"]:
    r"""The rank of a mode's covariance: how many singular values count as more than nothing.

    .. math:: r = \#\{i : \sigma_i > \tau\, \sigma_1\},
              \qquad \tau = \max(n_a, N_a)\, 2^{-23} \text{ by default}

    for the singular values of the centred unfolding with :math:`n_a` rows and :math:`N_a` columns,
    computed in float64. The default is float32's rounding, because that is the precision in which
    networks compute latents. ``tolerance`` is relative to the largest singular value, so relative
    to the largest *eigenvalue* it acts as its square; in [0, 1), ValueError otherwise. A rank is a
    statement about a tolerance: look at several. An all-zero matrix has rank 0. A whole number,
    without derivatives: not for ``torch.func``, ``torch.compile`` or ``torch.export``.
    """
    values = mode_singular_values(z, mode, centred=centred)
    if tolerance is None:
        rows = z.shape[mode - 4]
        tolerance = max(rows, z.shape[-3:].numel() // rows) * FLOAT32_EPS
    if not 0 <= check_number("tolerance", tolerance) < 1:
        raise ValueError(
            f"tolerance={tolerance}: a fraction of the largest singular value, in [0, 1)"
        )
    return (values > tolerance * values[..., :1]).sum(-1)


def rank_ceiling(m: int, n: int, k: int, *, centred: bool = True) -> tuple[int, int, int]:
    r"""The largest ranks that the three covariances of an m x n x k latent can have.

    .. math:: \min(m, nk - c),\ \min(n, mk - c),\ \min(k, mn - c), \qquad c = 1 \text{ if centred}

    A latent with a density, such as one with Gaussian noise added, reaches them with probability
    1, whatever else it is. ValueError for a size below 1. Source: derived, chapter 12.
    """
    for name, size in (("m", m), ("n", n), ("k", k)):
        check_whole(name, size)
    c = int(centred)
    return min(m, n * k - c), min(n, m * k - c), min(k, m * n - c)


def stratum_dimension(rank: int, n: int) -> int:
    r"""The dimension of the manifold of positive semi-definite n x n matrices of one rank.

    .. math:: \dim \{S \succeq 0 : \operatorname{rank} S = r\} = nr - \tfrac{r(r - 1)}{2}

    From 0 at the zero matrix to n (n + 1) / 2, the open cone of definite matrices. ValueError
    unless 0 <= rank <= n. Source: Vandereycken, Absil and Vandewalle 2009.
    """
    check_whole("n", n)
    if check_number("rank", rank) not in range(n + 1):
        raise ValueError(f"rank={rank}: a whole number from 0 to n={n}")
    return n * rank - rank * (rank - 1) // 2


def _matrix(z: Tensor, mode: int, centred: bool) -> Tensor:
    """The unfolding, checked, its columns' mean taken out."""
    x = unfold(z, mode)
    if x.shape[-1] < 2 or x.shape[-2] < 1:
        raise ValueError(
            f"z of shape {tuple(z.shape)} unfolds along mode {mode} to {tuple(x.shape[-2:])}: "
            "a covariance needs a row and two columns"
        )
    check_finite(z=z)
    return x - x.mean(-1, keepdim=True) if centred else x
