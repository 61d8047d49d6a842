"""Every data set is what its entry says, and a wrong name or option is told the right ones."""

import numpy as np
import pytest
import torch

from vae_course.data import catalogue, load

SIZES = {
    "digits": (1_257, 540, (1, 8, 8)),
    "mnist_small": (10_000, 2_000, (1, 28, 28)),
    "fashion_small": (5_000, 1_000, (1, 28, 28)),
    "natural_patches": (10_000, 2_000, (1, 8, 8)),
    "photographs": (10_000, 4_000, (1, 16, 16)),
    "toy_isometric": (50_000, 10_000, (16,)),
    "earthquakes": (1_342, 336, (3,)),
    "moses_small": (30_000, 3_000, (32,)),
}
CHECKSUMS = {
    "digits": "e730ffbcb9db6d555b27b96330e4f40cc79ad183c73ad8a10ad77fec0eef9c77",
    "mnist_small": "2442c153ab91b68e07dfe55b48417786f502313df8bff1c786696a84f6a9cbdc",
    "fashion_small": "3037e502649a11268a175f34d6b2bcad50ccbcfceb43bdfc6c4ac6978df31af2",
    "natural_patches": "3523eb9965661eef16c94f3d2ee708d211be50a3971688edd3aca20e86933be2",
    "photographs": "683d941553006593d9fbb9df3f9285e3f0b2d16d401ea4526ac267f2b4c8ebe8",
    "toy_isometric": "008e2a4d0b668afea4194c2ce4d1d48f707964c56d4e591184e2c0139ff13fbb",
    "moses_small": "aadcb415a001ea1555c182aeea3dbfc62e92db6fb7a2b535a5b94489e799affb",
    "earthquakes": "c7cadd140f1ed181c8842a800c348c5600adf5fee23b96e2599531c00ad87841",
}


def rows(images: torch.Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in images}


def test_the_tested_names_are_all_the_names():
    assert set(SIZES) == set(catalogue.LOADERS)


@pytest.mark.parametrize("name", SIZES)
def test_sizes_shapes_and_provenance_are_as_documented(loaded, name):
    n_train, n_test, shape = SIZES[name]
    d = loaded(name)
    assert (d.name, d.image_shape, d.dim) == (name, shape, int(np.prod(shape)))
    assert d.train.shape == (n_train, *shape) and d.test.shape == (n_test, *shape)
    dtype = torch.int16 if name == "moses_small" else torch.float32
    assert d.train.dtype == d.test.dtype == dtype
    assert d.source and d.licence


@pytest.mark.parametrize("name", SIZES)
def test_the_contents_never_change(loaded, name):
    assert loaded(name).checksum == load(name).checksum == CHECKSUMS[name]


@pytest.mark.parametrize("name", SIZES)
def test_no_example_is_both_trained_and_tested_on(loaded, name):
    assert not rows(loaded(name).train) & rows(loaded(name).test)


@pytest.mark.parametrize("name", SIZES)
def test_repr_is_one_short_line(loaded, name):
    assert len(repr(loaded(name))) < 100 and "\n" not in repr(loaded(name))
    assert "tensor" not in repr(loaded(name)) and loaded(name).licence in repr(loaded(name))


@pytest.mark.parametrize("name, hint", [("digit", "digits"), ("mnist-small", "mnist_small")])
def test_an_unknown_name_is_told_all_names_and_the_closest(name, hint):
    with pytest.raises(ValueError, match=f"unknown data set '{name}'.*Did you mean '{hint}'") as e:
        load(name)
    assert all(known in str(e.value) for known in catalogue.LOADERS)


def test_a_name_like_no_other_gets_no_guess():
    with pytest.raises(ValueError, match=r"toy_isometric\.$"):
        load("zzz")


def test_an_option_the_set_does_not_take_is_named():
    with pytest.raises(TypeError, match="load\\('digits'\\) has no option 'size': it takes none"):
        load("digits", size=3)
    with pytest.raises(TypeError, match="'beta': it takes size, pool"):
        load("natural_patches", beta=3)


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("toy_isometric", {"kind": "C"}, "unknown kind of toy 'C': there is A, B, G"),
        ("toy_isometric", {"n_test": 0}, "must be at least 1"),
        ("toy_isometric", {"seed": -1}, "seed must be at least 0, got -1"),
        ("toy_isometric", {"seed": 2**32}, r"seed must be below 2\*\*32"),
        ("natural_patches", {"size": 0}, "size must be at least 1, got 0"),
        ("natural_patches", {"size": 33}, "has 0 training patches of size 33, not 5000"),
        ("natural_patches", {"n_train": 100_000}, "not 50000: ask for fewer"),
        ("photographs", {"n_train": 11_000}, "36 photographs for training have 10998 .*not 11000"),
        ("photographs", {"size": 32}, "2740 patches of size 32 at stride 32.*a smaller stride"),
        ("photographs", {"n_test": 4_341}, "14 photographs for testing have 4340 .*not 4341"),
        ("photographs", {"size": 353}, "have 0 patches of size 353.*ask for fewer or smaller"),
        ("photographs", {"stride": 0}, "stride must be at least 1, got 0"),
    ],
)
def test_options_out_of_range_are_value_errors(name, options, message):
    with pytest.raises(ValueError, match=message):
        load(name, **options)


@pytest.mark.parametrize(
    "name, options, message",
    [
        (["digits"], {}, "name must be a str, such as 'digits', got list"),
        ("natural_patches", {"size": 2.5}, "size must be an int, got 2.5"),
        ("natural_patches", {"pool": None}, "pool must be an int, got None"),
        ("photographs", {"colour": 1}, "colour must be True or False, got 1"),
        ("photographs", {"stride": 8.0}, "stride must be an int, got 8.0"),
        ("photographs", {"n_train": None}, "n_train must be an int, got None"),
        ("toy_isometric", {"n_train": "5"}, "n_train must be an int, got '5'"),
        ("toy_isometric", {"seed": None}, "seed must be an int, got None"),
        ("toy_isometric", {"kind": ["B"]}, r"kind must be a str, got \['B'\]"),
        ("mnist", {"path": 3}, "path must be a str or a Path, got 3"),
    ],
)
def test_options_of_another_type_are_named(unchecked, name, options, message):
    with pytest.raises(TypeError, match=message):
        load(name, **options)
