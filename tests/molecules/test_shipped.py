"""The weights that ship: small, of one recipe, to half precision, and refused when damaged."""

import pytest
import torch

from vae_course.molecules import FAMILIES, SmilesVAE, Vocabulary, pretrained, ship
from vae_course.molecules.shipped import FOLDER


def test_shipped_weights_are_small_and_say_where_they_come_from():
    assert sum(file.stat().st_size for file in FOLDER.glob("*.safetensors")) < 4_000_000
    recipes = []
    for family in FAMILIES:
        model = pretrained(family)
        assert not model.training and model.family == family
        assert len(model.provenance["log"]["rate"]) > 1
        recipes.append((model.provenance["recipe"], model.provenance["data"]))
    assert recipes[0] == recipes[1] == recipes[2]  # trained alike


def test_a_shipped_model_is_the_one_stored_to_half_precision(tmp_path, monkeypatch):
    monkeypatch.setattr("vae_course.molecules.shipped.FOLDER", tmp_path)
    model = SmilesVAE(
        Vocabulary(["C", "O", "CC"]), 6, family="vmf", d=3, hidden=8, embedding=4, initial_rate=2.0
    )
    ship(model, data="none")
    again = pretrained("vmf")
    assert again.config == model.config and again.provenance == {"data": "none"}
    for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=2**-11, atol=1e-7)


def test_damaged_weights_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("vae_course.molecules.shipped.FOLDER", tmp_path)
    with pytest.raises(RuntimeError, match="install vae_course again"):
        pretrained("vmf")
    (tmp_path / "vmf.safetensors").write_bytes(b"not weights")
    with pytest.raises(RuntimeError, match="install vae_course again"):
        pretrained("vmf")


def test_a_family_without_weights_is_named():
    with pytest.raises(ValueError, match="weights are shipped"):
        pretrained("power")
