"""The files that come with the course: small, licensed, checked byte for byte."""

import pytest

from vae_course.data import embedded, load


@pytest.mark.parametrize(
    "name, limit",
    [
        ("mnist_small", 2.5e6),
        ("fashion_small", 2.7e6),
        ("earthquakes", 2e4),
        ("photographs", 1.2e6),
    ],
)
def test_embedded_files_are_small_and_carry_their_licence(name, limit):
    assert (embedded.FOLDER / f"{name}.npz").stat().st_size <= limit
    notice = (embedded.FOLDER / f"{name}.md").read_text(encoding="utf-8")
    required = {
        "mnist_small": "CC BY-SA 3.0",
        "fashion_small": "2017 Zalando SE",
        "earthquakes": "public domain",
        "photographs": "https://creativecommons.org/licenses/by/4.0/",
    }[name]
    assert required in notice and "Changes:" in notice


def test_of_the_notices_only_mnists_is_share_alike():
    words = ("BY-SA", "by-sa", "Share Alike", "ShareAlike")
    notices = {path.stem: path.read_text(encoding="utf-8") for path in embedded.FOLDER.glob("*.md")}
    assert {n for n, text in notices.items() if any(w in text for w in words)} == {"mnist_small"}


@pytest.mark.parametrize("name", embedded.SHA256)
def test_one_flipped_byte_truncation_or_absence_is_a_clear_error(
    loaded, name, tmp_path, monkeypatch
):
    sound = loaded(name).checksum
    good = (embedded.FOLDER / f"{name}.npz").read_bytes()
    monkeypatch.setattr(embedded, "FOLDER", tmp_path)
    file = tmp_path / f"{name}.npz"
    with pytest.raises(RuntimeError, match=rf"{name}\.npz is missing: install"):
        load(name)
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    for bad in (bytes(flipped), good[: len(good) // 2], b""):
        file.write_bytes(bad)
        with pytest.raises(RuntimeError, match=rf"{name}\.npz is damaged .* install"):
            load(name)
    file.write_bytes(good)
    assert load(name).checksum == sound
