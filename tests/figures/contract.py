"""What every interactive figure promises in Python: its module, its saved state, its refusals."""

import json
import re
from typing import Any, ClassVar

import pytest
import torch
from ipywidgets.embed import embed_data
from torch import nn

from vae_course.figures import Figure, fragment, state


def decoder(seed: int = 0, outputs: int = 64, activation: type[nn.Module] = nn.SiLU) -> nn.Module:
    """2-64-128-outputs, its weights as large as training leaves them (rows of norm about 2)."""
    torch.manual_seed(seed)
    layers = [nn.Linear(2, 64), activation(), nn.Linear(64, 128), activation()]
    made = nn.Sequential(*layers, nn.Linear(128, outputs))
    with torch.no_grad():
        for layer, gain in ((made[0], 1.5), (made[2], 2.0), (made[4], 2.0)):
            layer.weight *= gain
    return made


class FigureContract:
    """A new figure writes ``kind``, ``given``, ``other`` and ``refused``; the rest it inherits."""

    kind: ClassVar[type[Figure]]
    other: ClassVar[dict[str, Any]]  # arguments that make another figure
    refused: ClassVar[list[tuple[dict[str, Any], str]]]  # arguments, and what the error says
    code = 40_000  # bytes, at most, of module and style
    page = 45_000  # and of all that the largest figure adds to a page

    def given(self) -> dict[str, Any]:
        """The arguments of a small figure."""
        return {}

    def largest(self) -> Figure:
        """The figure as a chapter shows it."""
        return self.make()

    def make(self, **changes: Any) -> Figure:
        return self.kind(**{**self.given(), **changes})

    def pytest_generate_tests(self, metafunc) -> None:
        if "message" in metafunc.fixturenames:
            ids = ["+".join(changes) for changes, _ in self.refused]
            metafunc.parametrize("changes, message", self.refused, ids=ids)

    def test_its_module_imports_nothing_and_is_small(self):
        assert not re.search(r"\bimport\b|https?://", self.kind._esm)
        assert self.kind._esm.count("export default") == 1
        assert len(json.dumps(self.kind._esm + self.kind._css)) <= self.code

    def test_it_adds_little_to_a_page(self):
        assert self.largest().nbytes <= self.page

    def test_the_same_arguments_save_the_same_file_and_others_another(self):
        assert state(self.make()) == state(self.make()) != state(self.make(**self.other))

    def test_the_saved_state_is_what_ipywidgets_embeds(self, tmp_path, monkeypatch):
        monkeypatch.setenv("VAE_COURSE_RESULTS", str(tmp_path))
        figure = self.make()
        embedded = embed_data(views=[figure], drop_defaults=False)["manager_state"]
        expected = json.loads(json.dumps(embedded["state"][figure.model_id]))
        assert figure.save("name") is figure
        content = json.loads((tmp_path / "interactive" / "name.json").read_text(encoding="utf-8"))
        [saved] = content["state"].values()

        def buffers(record: dict) -> list:
            return sorted((b["path"], b["data"]) for b in record.get("buffers", []))

        assert buffers(saved) == buffers(expected)
        models = {k for k, v in expected["state"].items() if str(v).startswith("IPY_MODEL_")}
        assert {k: v for k, v in expected["state"].items() if k not in models} == saved["state"]
        assert {k: saved[k] for k in expected if k.startswith("model_")} == {
            k: v for k, v in expected.items() if k.startswith("model_")
        }
        html = fragment(content)
        assert 0 < len(html) - figure.nbytes < 300  # the tags around it
        assert re.findall(r"</?[a-z!]+", html) == ["<script", "</script"] * 2

    def test_what_does_not_fit_is_named(self, unchecked, changes, message):
        with pytest.raises(ValueError, match=message):
            self.make(**changes)


class DecoderFigureContract(FigureContract):
    """Of a figure with a ``decoder``, which the browser evaluates."""

    def test_a_layer_that_the_browser_lacks_is_named(self):
        with pytest.raises(TypeError, match="Softplus"):
            self.make(decoder=nn.Sequential(self.given()["decoder"], nn.Softplus()))
