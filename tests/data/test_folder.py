"""Images of a folder: each kind of file against the picture it was made of; nothing in silence."""

import os
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from vae_course.data import images_from_folder

GREYS = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
COLOURS = np.random.RandomState(0).randint(0, 256, (6, 8, 3), dtype=np.uint8)


def save(folder, name, pixels, mode=None, **options):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels, mode).save(path, **options)
    return path


def alone(folder, **how):
    images = images_from_folder(folder, **how)
    assert len(images) == 1 and images.dtype == torch.float32 and images.is_contiguous()
    return images[0].numpy()


def planes(pixels):
    """(C, H, W) in [0, 1]: what the docstring promises of 8 bits."""
    scaled = pixels.astype(np.float32) / 255
    return scaled[None] if pixels.ndim == 2 else np.moveaxis(scaled, -1, 0)


@pytest.mark.parametrize("ending", ["png", "bmp", "tif", "PNG", "ppm"])
@pytest.mark.parametrize("pixels", [GREYS, COLOURS], ids=["grey", "colour"])
def test_eight_bits_are_read_exactly(tmp_path, ending, pixels):
    save(tmp_path, f"a.{ending}", pixels)
    np.testing.assert_array_equal(alone(tmp_path), planes(pixels))


def test_sixteen_bits_are_read_in_full(tmp_path):
    deep = np.arange(48, dtype=np.uint16).reshape(6, 8) * 1394 + 1
    save(tmp_path, "a.png", deep)
    np.testing.assert_allclose(alone(tmp_path)[0], deep / 65535, rtol=1e-7)
    np.testing.assert_array_equal(alone(tmp_path, channels="colour")[2], alone(tmp_path)[0])


def test_floating_point_numbers_must_be_grey_levels(tmp_path):
    save(tmp_path, "a.tif", GREYS.astype(np.float32) / 255)
    np.testing.assert_array_equal(alone(tmp_path), planes(GREYS))
    save(tmp_path, "a.tif", GREYS.astype(np.float32))
    with pytest.raises(ValueError, match=r"a\.tif.*floating-point.*save it with 8 or 16 bits"):
        images_from_folder(tmp_path)


def test_integers_of_32_bits_are_no_grey_levels(tmp_path):
    save(tmp_path, "a.tif", GREYS.astype(np.int32) * 10_000)
    with pytest.raises(ValueError, match=r"a\.tif.*32-bit"):
        images_from_folder(tmp_path)


def test_what_is_transparent_lies_on_white(tmp_path):
    alpha = np.zeros((6, 8, 1), dtype=np.uint8)
    alpha[:, 4:] = 255
    save(tmp_path / "colour", "a.png", np.concatenate([COLOURS, alpha], 2))
    found = alone(tmp_path / "colour")
    assert (found[..., :4] == 1).all()
    np.testing.assert_array_equal(found[..., 4:], planes(COLOURS)[..., 4:])
    save(tmp_path / "grey", "a.png", np.concatenate([GREYS[..., None], alpha], 2), "LA")
    found = alone(tmp_path / "grey")
    assert found.shape == (1, 6, 8) and (found[..., :4] == 1).all()
    np.testing.assert_array_equal(found[..., 4:], planes(GREYS)[..., 4:])


def test_half_transparent_is_half_white(tmp_path):
    pixels = np.full((6, 8, 4), 0, dtype=np.uint8)
    pixels[..., 3] = 51
    save(tmp_path, "a.png", pixels)
    np.testing.assert_allclose(alone(tmp_path), 0.8, atol=1 / 255)


def test_a_palette_is_colour_and_its_transparent_entry_white(tmp_path):
    image = Image.fromarray(COLOURS).quantize(4)
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(alone(tmp_path), planes(np.asarray(image.convert("RGB"))))
    image.save(tmp_path / "a.png", transparency=0)
    clear = np.asarray(image) == 0
    assert clear.any() and (alone(tmp_path)[:, clear] == 1).all()


def test_an_image_is_turned_as_its_exif_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its left side
    save(tmp_path, "a.png", COLOURS, exif=exif)
    np.testing.assert_array_equal(alone(tmp_path), planes(np.rot90(COLOURS, -1)))


def test_grey_is_luma_and_colour_of_grey_three_times_the_same(tmp_path):
    save(tmp_path, "a.png", COLOURS)
    luma = COLOURS @ np.array([0.299, 0.587, 0.114]) / 255
    np.testing.assert_allclose(alone(tmp_path, channels="grey")[0], luma, atol=0.6 / 255)
    save(tmp_path, "a.png", GREYS)
    assert (alone(tmp_path, channels="colour") == planes(GREYS)).all()


def test_the_range_is_the_one_asked_for(tmp_path):
    save(tmp_path, "a.png", np.array([[0, 255], [51, 102]], dtype=np.uint8))
    found = alone(tmp_path, value_range=(-1, 1))
    np.testing.assert_allclose(found[0], [[-1, 1], [-0.6, -0.2]], atol=1e-6)


@pytest.mark.parametrize("wrong", [(1, 0), (0, 0), (0, float("nan")), (0, 1, 2)])
def test_a_range_that_is_none_is_refused(tmp_path, unchecked, wrong):
    with pytest.raises(ValueError, match="value_range"):
        images_from_folder(tmp_path, value_range=wrong)


def test_the_centre_is_cut_out_exactly(tmp_path):
    save(tmp_path, "a.png", COLOURS)
    np.testing.assert_array_equal(alone(tmp_path, size=6), planes(COLOURS[:, 1:7]))
    np.testing.assert_array_equal(alone(tmp_path, size=(6, 5)), planes(COLOURS[:, 1:6]))
    np.testing.assert_array_equal(alone(tmp_path, size=(3, 8)), planes(COLOURS[1:4]))


def test_smaller_images_are_averages_and_aliases_are_gone(tmp_path):
    stripes = np.zeros((64, 64), dtype=np.uint8)
    stripes[:, ::2] = 255
    save(tmp_path, "a.png", stripes)
    inner = alone(tmp_path, size=16)[0, 2:-2, 2:-2]
    np.testing.assert_allclose(inner, 0.5, atol=0.02)
    save(tmp_path, "a.png", np.full((64, 32), 200, dtype=np.uint8))
    np.testing.assert_allclose(alone(tmp_path, size=(8, 8)), 200 / 255, atol=1e-6)


def test_deep_images_are_made_smaller_within_the_range(tmp_path):
    deep = np.zeros((32, 32), dtype=np.uint16)
    deep[:, 16:] = 65535
    save(tmp_path, "a.png", deep)
    found = alone(tmp_path, size=8)
    assert found.min() == 0 and found.max() == 1


def test_nothing_is_enlarged(tmp_path):
    save(tmp_path, "a.png", COLOURS)
    with pytest.raises(ValueError, match=r"a\.png' is 6 x 8, smaller than size=\(7, 7\)"):
        images_from_folder(tmp_path, size=7)


def test_mixed_sizes_and_colours_name_both_files_and_the_remedy(tmp_path):
    save(tmp_path, "a.png", COLOURS)
    save(tmp_path, "b.png", COLOURS[:5])
    with pytest.raises(ValueError, match=r"a\.png' is 6 x 8 and .*b\.png' 5 x 8: give size, 5"):
        images_from_folder(tmp_path)
    assert images_from_folder(tmp_path, size=5).shape == (2, 3, 5, 5)
    save(tmp_path, "b.png", GREYS)
    with pytest.raises(ValueError, match=r"a\.png' is coloured and .*b\.png' grey: .*'grey'"):
        images_from_folder(tmp_path)
    assert images_from_folder(tmp_path, channels="grey").shape == (2, 1, 6, 8)


def test_files_are_sorted_and_only_images_that_are_not_hidden(tmp_path):
    for i, name in enumerate(["b/2.png", "10.png", "b/1.png", ".hidden.png", ".git/a.png"]):
        save(tmp_path, name, np.full((2, 2), i, dtype=np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    assert (images_from_folder(tmp_path)[:, 0, 0, 0] * 255).round().tolist() == [1, 2, 0]


def test_links_to_folders_are_not_followed_and_links_to_files_are(tmp_path):
    save(tmp_path / "far", "a.png", GREYS)
    near = tmp_path / "near"
    save(near, "b.png", GREYS)
    os.symlink(near, near / "round")
    os.symlink(tmp_path / "far", near / "away")
    assert len(images_from_folder(near)) == 1
    os.symlink(tmp_path / "far" / "a.png", near / "c.png")
    assert len(images_from_folder(near)) == 2


def test_a_limit_draws_by_its_seed_and_keeps_the_order(tmp_path):
    for i in range(20):
        save(tmp_path, f"{i:02}.png", np.full((1, 1), i, dtype=np.uint8))

    def drawn(**how):
        return (images_from_folder(tmp_path, **how).flatten() * 255).round().tolist()

    some = drawn(limit=5)
    assert some == sorted(set(some)) and len(some) == 5
    assert some == drawn(limit=5) != drawn(limit=5, seed=1)
    assert drawn(limit=30) == drawn() == list(range(20))


def damaged(path, how):
    whole = path.read_bytes()
    if how == "cut short":
        path.write_bytes(whole[: len(whole) // 2])
    elif how == "no image":
        path.write_text("<html>404</html>")
    elif how == "empty":
        path.write_bytes(b"")
    else:  # a chunk whose checksum is right and whose contents are not
        body = struct.pack(">IIBBBBB", 8, 6, 99, 9, 0, 0, 0)
        chunk = b"IHDR" + body
        path.write_bytes(
            whole[:8] + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
        )


@pytest.mark.parametrize("how", ["cut short", "no image", "empty", "nonsense"])
def test_a_damaged_file_is_named_and_passed_over_only_where_asked(tmp_path, how):
    save(tmp_path, "a.png", COLOURS)
    bad = save(tmp_path, "b.png", COLOURS)
    damaged(bad, how)
    with pytest.raises(ValueError, match=r"b\.png' can't be read.*skip_broken=True"):
        images_from_folder(tmp_path)
    assert len(images_from_folder(tmp_path, skip_broken=True)) == 1
    (tmp_path / "a.png").unlink()
    with pytest.raises(FileNotFoundError, match="none of its 1 images can be read"):
        images_from_folder(tmp_path, skip_broken=True)


def test_no_folder_and_no_images_say_what_was_looked_for(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        images_from_folder(tmp_path / "none")
    (tmp_path / "a.txt").touch()
    with pytest.raises(FileNotFoundError, match=r"hold no image.*\.png"):
        images_from_folder(tmp_path)


@pytest.mark.parametrize(
    "wrong", [{"size": 0}, {"size": (1, 2, 3)}, {"limit": 0}, {"channels": "rgb"}], ids=str
)
def test_arguments_out_of_range_are_named(tmp_path, unchecked, wrong):
    save(tmp_path, "a.png", COLOURS)
    with pytest.raises(ValueError, match=next(iter(wrong))):
        images_from_folder(tmp_path, **wrong)
