"""The cookbook's recipes for reports: each block runs as it stands, and says what it promises."""

import math
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, Normal

from tests.report import bases
from vae_course.data import load
from vae_course.models import VAE
from vae_course.report import Report, __main__ as program, adapted, report
from vae_course.report.plan import LEAST

PAGE = Path(__file__).parents[2] / "book" / "reference" / "cookbook.md"
RECIPES = dict(
    re.findall(r"^### (.+)\n([\s\S]+?)(?=^##|\Z)", PAGE.read_text("utf-8"), re.MULTILINE)
)
OTHERS = ("diffusers", "pythae")


def blocks(recipe: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n([\s\S]+?)^```", RECIPES[recipe], re.MULTILINE)


class Net(nn.Module):
    """What the page calls ``net``: a model of somebody's own."""

    def __init__(self, vae: VAE) -> None:
        super().__init__()
        self.vae = vae

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu, sigma = self.vae.encode(x)
        return mu, 2 * sigma.log()

    def decode(self, z: Tensor) -> Tensor:
        return self.vae.decode(z)


@pytest.fixture(scope="module")
def yours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The names that a reader is told to have, and the files, in a folder of their own."""
    folder = tmp_path_factory.mktemp("recipes")
    digits = load("digits")
    model, other = bases.model("digits"), bases.model("bernoulli")
    net = Net(model)
    words = torch.randn(64, model.d, generator=torch.Generator().manual_seed(0))
    model.save(folder / "vae.safetensors")
    np.savez(folder / "images.npz", images=digits.test.numpy())
    (folder / "mine.py").write_text(
        "from vae_course.models import load\n\n\n"
        "def pair():\n    model = load('vae.safetensors')\n    return model.encode, model.decode\n"
    )
    photographs(folder / "photographs")
    return {
        "folder": folder,
        "net": net,
        "images": digits.test[:200],
        "model": model,
        "other": other,
        "small": LEAST,
        "posterior": lambda x: Independent(Normal(*model.encode(x)), 1),
        "code": lambda x: model.encode(x)[0],
        "indices": lambda x: torch.cdist(model.encode(x)[0], words).argmin(1, keepdim=True),
        "look_up": lambda k: model.decode(words[k[:, 0]]),
    }


def photographs(folder: Path) -> None:
    from PIL import Image

    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        pixels = rng.integers(0, 256, (24, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")


@pytest.fixture(autouse=True)
def there(yours: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(yours["folder"])
    monkeypatch.syspath_prepend(str(yours["folder"]))
    monkeypatch.delitem(sys.modules, "mine", raising=False)  # another test's


def run(yours: dict[str, Any], recipe: str) -> dict[str, Any]:
    for block in blocks(recipe, "python"):
        exec(compile(block, recipe, "exec"), yours)
    return yours


@pytest.mark.parametrize("recipe", [r for r in RECIPES if not r.startswith(OTHERS)])
def test_a_recipe_runs_as_it_stands(yours, recipe, capsys):
    yours |= {"report": report, "adapted": adapted}  # the page's first recipes import them
    if recipe != "Plain PyTorch":
        run(yours, "Plain PyTorch")  # makes ``card``
    before = dict(yours)
    run(yours, recipe)
    new = {name: value for name, value in yours.items() if before.get(name) is not value}
    cards = [value for value in new.values() if isinstance(value, Report)]
    assert all(card.verdict != "skipped" for card in cards)
    for block in blocks(recipe, "bash"):
        for line in block.splitlines():
            python, module, name, *arguments = shlex.split(line)
            assert (python, module, name) == ("python", "-m", "vae_course.report")
            assert program.main(arguments) in (program.PASSED, program.FAILED), line
    if recipe == "A folder of images":
        assert yours["images"].shape == (3, 1, 16, 16)
        yours["images"] = before["images"]


def test_each_recipe_has_a_block_and_three_lines_or_little_more():
    for recipe in RECIPES:
        found = [*blocks(recipe, "python"), *blocks(recipe, "bash")]
        assert found, recipe
        for block in found:
            calls = [line for line in block.splitlines() if line and not line.startswith(" ")]
            assert len([c for c in calls if not c.startswith(("from", "import"))]) <= 3, recipe


def test_a_report_is_written_and_read_again_without_pictures(yours):
    for recipe in ("Plain PyTorch", "All that fails, as JSON or in Python"):
        run(yours, recipe)
    run(yours, "Numbers only, to send to somebody")
    page = (yours["folder"] / "report.html").read_text("utf-8")
    assert page.startswith("<!doctype html>") and page.count("<h2") >= 4
    numbers = Report.load("numbers.json")
    assert not numbers.tables
    assert list(numbers.measures) == list(yours["again"].measures) == list(yours["card"].measures)
    sizes = [(yours["folder"] / name).stat().st_size for name in ("numbers.json", "report.json")]
    assert sizes[0] < sizes[1]


def test_thresholds_of_the_page_judge_otherwise(yours):
    run(yours, "Plain PyTorch")
    run(yours, "Other thresholds")
    assert yours["card"].measures["samples_prior"].verdict in ("info", "skipped")
    assert yours["card"].measures["fit"].condition.fails == (0.5, 1.0)


def test_what_the_page_says_of_exit_codes_is_so():
    said = re.match(r"\n(.+?)\. `--only`", RECIPES["In continuous integration"])[1]
    told = dict(part.split(" ", 1) for part in said.split("; "))
    assert {int(code): told[code].split()[0] for code in told} == {
        program.PASSED: "passed",
        program.LOOK: "something",
        program.FAILED: "failed",
        program.WRONG: "the",
    }


def test_diffusers_by_its_recipe(yours):
    diffusers = pytest.importorskip("diffusers")
    kind = diffusers.AutoencoderKL(
        block_out_channels=(8, 8), norm_num_groups=4, latent_channels=2,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        in_channels=1, out_channels=1,
    )  # fmt: skip
    kind.save_pretrained(yours["folder"] / "sd" / "vae")
    yours["autoencoder"] = kind
    run(yours, next(r for r in RECIPES if r.startswith("diffusers")))
    assert yours["card"].meta["declared"]["factor"] == 0.18215
    assert yours["card"].meta["value_range"] == [-1, 1]


def test_pythae_by_its_recipe(yours):
    models = pytest.importorskip("pythae.models")
    config = models.BetaVAEConfig(input_dim=(1, 8, 8), latent_dim=4, beta=0.1)
    yours["pythae_model"] = models.BetaVAE(config)
    run(yours, "pythae")
    assert math.isclose(yours["card"].meta["declared"]["beta"], 0.2)
