"""The mean precision along its own axes: an answer that turning the latents leaves alone."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from tests.worlds import LinearGaussian, normal
from vae_course.distortion import edge, posterior_anisotropy, squared_error
from vae_course.isometry import precision_spectrum, pullback_metric

SPECTRUM = torch.tensor([2.0, 0.9, 0.4], dtype=torch.float64)


def rotation(d=3):
    return torch.linalg.qr(normal(d, d, seed=5))[0]


class Curved(nn.Module):
    """Three latents to images of 4 x 4, bent."""

    def __init__(self):
        super().__init__()
        self.a, self.b = normal(3, 8, seed=1), normal(8, 16, seed=2) / 3

    def forward(self, z):
        return ((z @ self.a).tanh() @ self.b).unflatten(-1, (1, 4, 4))


@pytest.mark.parametrize("beta", [0.05, 0.3])
def test_the_best_linear_vae_has_the_precisions_of_water_filling(beta):
    """At the optimum 1/σ² = 2λ/β for every latent in use."""
    world = LinearGaussian(SPECTRUM, beta)
    mu, sigma = world.encode(world.images())
    found = precision_spectrum(world.decode, mu, beta)
    assert_close(found, 2 * SPECTRUM / beta)
    assert_close(found.log().var(correction=0), posterior_anisotropy(sigma))


def test_turned_latents_have_even_balls_and_the_same_spectrum():
    """Two axes turned by 45 degrees: both balls alike, A = 0, and A_eig is what it was."""
    beta, lengths = 0.1, torch.tensor([2.0, 0.3], dtype=torch.float64)
    turn = torch.tensor([[1.0, -1.0], [1.0, 1.0]], dtype=torch.float64) / 2**0.5
    straight, turned = (torch.diag(lengths) @ r for r in (torch.eye(2).double(), turn))
    precision = 1 + 2 / beta * (turned.T @ turned).diagonal()
    assert_close(posterior_anisotropy(precision.rsqrt()).item(), 0.0)
    spectra = [
        precision_spectrum(lambda z, W=W: z @ W.T, normal(5, 2), beta) for W in (straight, turned)
    ]
    assert_close(*spectra)
    assert_close(spectra[0], 1 + 2 / beta * lengths.square())


@pytest.mark.parametrize("distortion", [squared_error, edge])
def test_a_curved_decoder_is_averaged_and_its_bend_left_out(distortion):
    decoder, z = Curved(), normal(7, 3)
    eye = torch.eye(16, dtype=torch.float64).view(16, 1, 4, 4)
    zero = torch.zeros_like(eye)
    # The matrix of a quadratic form, by polarisation.
    at = distortion(zero, eye)
    both = torch.stack([distortion(zero, eye + e) for e in eye])
    matrix = (both - at - at[:, None]) / 2
    expected = torch.linalg.eigvalsh(pullback_metric(decoder, z, matrix).mean(0)).flip(0)
    found = precision_spectrum(decoder, z, 0.2, distortion=distortion, chunk=2)
    assert_close(found, 1 + 10 * expected)
    R = rotation()
    assert_close(
        found, precision_spectrum(lambda z: decoder(z @ R.T), z @ R, 0.2, distortion=distortion)
    )


def test_codes_too_long_for_a_matrix_are_refused_with_what_needs_none():
    with pytest.raises(ValueError, match="z has codes of 16,385 .* 2 GB .*isometry.spectrum"):
        precision_spectrum(lambda z: z, torch.zeros(1, 5, 3277), 0.1)


def test_float32_holds_up_to_precisions_of_ten_thousand():
    decoder, z = Curved(), normal(7, 3)
    beta = 2e-4
    exact = precision_spectrum(decoder, z, beta)
    assert exact[0] > 1e4
    decoder.a, decoder.b = decoder.a.float(), decoder.b.float()
    assert_close(precision_spectrum(decoder, z.float(), beta).double(), exact, rtol=1e-4, atol=0.0)


@pytest.mark.parametrize(
    "change, words",
    [
        ({"beta": 0.0}, "beta"),
        ({"chunk": 0}, "chunk"),
        ({"distortion": lambda x, y: (x - y).sum()}, r"one value for each"),
        ({"distortion": lambda x, y: 0.5}, "gave float"),
        ({"distortion": lambda x, y: squared_error(x, y.detach())}, "no second derivative"),
        ({"distortion": lambda x, y: (y - x).flatten(1).sum(1)}, "no second derivative"),
    ],
)
def test_refuses(change, words):
    given = {
        "decoder": lambda z: (z @ normal(3, 4)).unflatten(-1, (1, 2, 2)),
        "z": normal(5, 3),
        "beta": 0.1,
    }
    with pytest.raises(ValueError, match=words):
        precision_spectrum(**(given | change))
