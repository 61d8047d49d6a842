"""What builds any latent model: sizes, distortions, and networks whose latents have places."""

import pytest
import torch
from torch.testing import assert_close

from vae_course.models import VAE, Autoencoder, DenoisingAutoencoder, networks
from vae_course.training import fit


@pytest.mark.parametrize("bottleneck", ["linear", "relu"])
@pytest.mark.parametrize("kind", [Autoencoder, DenoisingAutoencoder, VAE])
def test_a_latent_with_places_is_a_flat_code_of_networks_of_your_own(kind, bottleneck):
    k, shape, x = 3, (1, 28, 28), torch.rand(4, 1, 28, 28)
    encoder = networks.spatial_encoder(shape, k * kind.heads, 4, bottleneck=bottleneck)
    decoder = networks.spatial_decoder(k, shape, 4)
    model = kind(encoder, decoder, image_shape=shape, d=49 * k)
    eps = model.draw_noise(4, torch.Generator().manual_seed(0))
    terms = model.loss_terms(x, eps)
    assert terms.loss.shape == (4,) and terms.loss.isfinite().all()
    codes = model.encode(x)
    z = codes.mu if kind is VAE else codes
    # channel by channel; of a VAE the first half of the channels are its means
    latent = z.unflatten(-1, networks.spatial_shape(shape, k))
    assert_close(latent, encoder[:-1](x)[:, :k], rtol=0, atol=0)
    assert (z == 0).any() == (bottleneck == "relu")
    assert model.decode(z).shape == x.shape and model.decode(z[0]).shape == shape
    assert fit(model, x, steps=2, batch_size=4, progress=False).loss.shape == (2,)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: VAE.mlp(d=0), r"d=\(0,\)"),
        (lambda: VAE.mlp(hidden=(8, 0)), r"hidden=\(8, 0\)"),
        (lambda: VAE.mlp(distortion="mse"), "distortion='mse'"),
    ],
)
def test_impossible_sizes_and_distortions_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
