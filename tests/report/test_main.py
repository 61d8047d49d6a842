"""The command: what it says and returns for models, images and mistakes of every kind."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.worlds import LinearGaussian
from vae_course.data import load
from vae_course.grading import walls
from vae_course.models import VAE
from vae_course.report import Report, sources
from vae_course.report.__main__ import main
from vae_course.report.measures import LEFT_OUT, MEASURES

ROOT = Path(__file__).resolve().parents[2]
WORLD = LinearGaussian(torch.tensor([6.0, 3.0, 2.0, 1.0], dtype=torch.float64), beta=0.3)
X = WORLD.images(200, seed=1).float()
MODULE = """
import os, signal, torch
from tests.worlds import LinearGaussian
from vae_course.report import adapted

world = LinearGaussian(torch.tensor([6.0, 3.0, 2.0, 1.0], dtype=torch.float64), beta=0.3)
calls = 0


def encode(x):
    mu, sigma = world.encode(x.double())
    return mu.float(), sigma.expand_as(mu).float()


def decode(z):
    return world.decode(z.double()).float()


def good():
    return adapted((encode, decode), beta=0.3, value_range=(-20, 20))


def collapsed():
    return adapted((encode, lambda z: decode(0 * z)), value_range=(-20, 20))


def square():
    return adapted((lambda x: tuple(t.square() for t in encode(x)), decode), value_range=(-20, 20))


def twice():
    \"\"\"The same model for images of half the size.\"\"\"
    return adapted(
        (lambda x: encode(2 * x), lambda z: decode(z) / 2), beta=0.3 / 4, value_range=(-10, 10)
    )


def stopping():
    def slow(z):
        global calls
        calls += 1
        if calls == int(os.environ["STOP_AT"]):
            os.kill(os.getpid(), signal.SIGINT)
        return decode(z)

    return adapted((encode, slow), value_range=(-20, 20))


def bad():
    return lambda x: {"mu": x}, decode


def raising():
    raise RuntimeError("the disk is full")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "worlds_of_ours.py").write_text(MODULE.replace("\\", ""))
    np.savez(tmp_path / "x.npz", x=X.numpy())
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "worlds_of_ours", raising=False)
    return tmp_path


def called(*words, model="good", data="x.npz"):
    return main([*(f"worlds_of_ours:{m}" for m in model.split()), "--data", data, *words])


# --- verdicts and statuses ---------------------------------------------------------------------
def test_a_healthy_model_passes_and_its_files_are_named(folder, capsys):
    assert called("--out", "r.html", "--json", "deep/r.json") == 0
    said = capsys.readouterr().out
    assert "200 images of 6: 'x.npz', in [-20, 20] as they are" in said
    assert "worlds_of_ours:good: " in said and "Written to r.html" in said
    card = Report.load("deep/r.json")
    assert card.verdict in ("pass", "look") and card.meta["declared"]["beta"] == 0.3
    assert card.measures["price_ratio"].value == pytest.approx(1, rel=1e-3)
    assert "<html" in Path("r.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "words, status",
    [
        ((), 2),
        (("--fail-on", "never"), 0),
        (("--set", "spread.fail=,"), 0),
        (("--set", "spread.fail=-1,2", "--set", "spread.pass=.5,1", "--fail-on", "look"), 1),
        (("--set", "spread.fail=-1,2", "--set", "spread.pass=.5,1"), 0),
    ],
)
def test_the_status_says_how_it_went(folder, words, status):
    """A decoder of one image fails in ``spread``, unless its thresholds are moved."""
    assert called("--only", "spread", *words, model="collapsed") == status


def test_suspects_and_the_stage_that_stopped_are_said(folder, capsys):
    assert called(model="collapsed") == 2
    said = capsys.readouterr().out
    assert "FAIL" in said and "--keep-going" in said
    called("--keep-going", "--only", "spread,bend", model="collapsed")
    assert "--keep-going" not in capsys.readouterr().out


def test_the_command_line_goes_before_what_the_model_declares(folder):
    words = "--beta .6 --factor 2 --shift .5 --range -30 30 --seed 3 --only scale,fit --threads 1"
    called(*words.split(), "--json", "r.json")
    meta = Report.load("r.json").meta
    assert (meta["declared"]["beta"], meta["declared"]["factor"]) == (0.6, 2)
    assert (meta["declared"]["shift"], meta["value_range"], meta["seed"]) == (0.5, [-30, 30], 3)
    assert {MEASURES[k].row for k in Report.load("r.json").measures} == {"scale", "fit"}


def test_quick_looks_at_less(folder):
    called("--quick", "--only", "fit", "--json", "r.json", "--images", "150")
    meta = Report.load("r.json").meta
    assert meta["images"] == 150 and meta["budget"] == 40 and meta["sizes"]["decoded"] < 100


# --- two models --------------------------------------------------------------------------------
def test_two_models_are_compared_on_the_same_images(folder, capsys):
    assert called("--json", "c.json", "--out", "c.html", model="good collapsed") == 2
    rows = {row["key"]: row for row in json.loads(Path("c.json").read_text())["rows"]}
    assert rows["fit"]["difference"] is None or rows["fit"]["better"] == "a"
    assert "worlds_of_ours:good and worlds_of_ours:collapsed" in capsys.readouterr().out
    assert "collapsed" in Path("c.html").read_text(encoding="utf-8")


def test_models_of_two_ranges_are_compared_in_one(folder):
    np.savez("x.npz", x=(X.numpy() / 40 + 0.5).clip(0, 1))
    words = "--only fit,ruler --keep-going --json c.json".split()
    called(*words, model="good twice")
    for row in json.loads(Path("c.json").read_text())["rows"]:
        if row["difference"] and row["a"] not in (None, 0):
            assert row["b"] == pytest.approx(row["a"], rel=1e-3), row["key"]


# --- images ------------------------------------------------------------------------------------
def saved(folder, **objective):
    VAE.mlp((1, 8, 8), d=2, hidden=(), **objective).save(folder / "vae.safetensors")


def measured(folder, data, *words):
    status = main(["vae.safetensors", "--data", data, "--only", "fit", "--json", "r.json", *words])
    assert status in (0, 2)
    return Report.load(folder / "r.json").meta


def test_a_named_set_gives_its_test_images(folder, capsys):
    saved(folder)
    assert measured(folder, "digits", "--images", "100")["images"] == 100
    assert (
        "100 images of 1 x 8 x 8: the test images of digits, in [0, 1]" in capsys.readouterr().out
    )


def test_a_folder_is_cut_to_the_models_size_and_colour(folder):
    saved(folder)
    for i in range(4):
        pixels = np.random.RandomState(i).randint(0, 256, (20 + i, 30, 3), dtype=np.uint8)
        (folder / "photos").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / "photos" / f"{i}.png")
    assert measured(folder, "photos")["image"] == [1, 8, 8]


LAYOUTS = {
    "bytes": lambda x: (x * 255).round().astype(np.uint8),
    "no channel": lambda x: x[:, 0],
    "channels last": lambda x: x.transpose(0, 2, 3, 1),
    "flat": lambda x: x.reshape(len(x), -1),
    "float64": lambda x: x.astype(np.float64),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_arrays_of_every_plain_layout_are_the_same_images(folder, layout):
    saved(folder)
    x = (load("digits").test[:50] * 255).round().numpy() / 255
    np.save("plain.npy", x)
    np.savez("x.npz", y=x[:3], x=LAYOUTS[layout](x))
    first = measured(folder, "plain.npy")
    assert measured(folder, "x.npz:x")["data"] == first["data"]


def test_a_models_own_range_is_filled(folder, capsys):
    saved(folder)
    assert measured(folder, "digits", "--range", "-1", "1")["value_range"] == [-1, 1]
    assert "brought from [0, 1] to [-1, 1]" in capsys.readouterr().out
    x = load("digits").test
    np.savez("x.npz", x=x.numpy())
    for name in ("digits", "x.npz"):
        found, _ = sources.images(name, value_range=(-1.0, 1.0))
        torch.testing.assert_close(found, 2 * x - 1)
    np.savez("x.npz", x=2 * x.numpy() - 1)
    found, said = sources.images("x.npz", value_range=(-1.0, 1.0))
    torch.testing.assert_close(found, 2 * x - 1)
    assert said.endswith("in [-1, 1] as they are")


# --- mistakes ----------------------------------------------------------------------------------
MISTAKES = {
    "no model": (["--data", "digits"], "0 models: give one, or two"),
    "three models": (["a", "b", "c", "--data", "digits"], "3 models"),
    "no data": (["worlds_of_ours:good"], "--data is missing: give a folder of images"),
    "no number": (["worlds_of_ours:good", "--data", "x.npz", "--beta", "much"], "--beta"),
    "a hub name": (["owner/name", "--data", "x.npz"], "hf download owner/name"),
    "a model that raises": (
        ["worlds_of_ours:raising", "--data", "x.npz"],
        "raised RuntimeError: the disk is full",
    ),
    "no codes": (["worlds_of_ours:bad", "--data", "x.npz", "--range", "-20", "20"], "encode gave"),
    "no set": (["worlds_of_ours:good", "--data", "digit"], "digits"),
    "no file": (["worlds_of_ours:good", "--data", "y.npz"], "no file 'y.npz'"),
    "no array": (["worlds_of_ours:good", "--data", "x.npz:y"], "has no 'y': it holds x"),
    "no threshold": (["worlds_of_ours:good", "--data", "x.npz", "--set", "fit=1"], "key.fail=low"),
    "no measure": (
        ["worlds_of_ours:good", "--data", "x.npz", "--set", "fitt.fail=0,1"],
        "no measure 'fitt'",
    ),
    "no row": (["worlds_of_ours:good", "--data", "x.npz", "--only", "fitt"], "fitt"),
    "no device": (["worlds_of_ours:good", "--data", "x.npz", "--device", "abacus"], "abacus"),
    "no place": (["worlds_of_ours:good", "--data", "x.npz", "--out", "x.npz/r.html"], "x.npz"),
    "no key": (["--explain", "fitt"], "give left-out, or one of finite"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_sentence_and_status_3(folder, capsys, name):
    words, message = MISTAKES[name]
    try:
        status = main(words)
    except SystemExit as end:  # argparse's
        status = end.code
    said = capsys.readouterr()
    assert status == 3 and message in said.err and "Traceback" not in said.err
    assert said.err.strip().splitlines()[-1].startswith("python -m vae_course.report: ")


ARRAYS = {
    "out of range": (X.numpy() * 100, "neither in [0, 1] nor in the model's range [-20, 20]"),
    "whole numbers": (X.long().numpy(), "holds int64: images are bytes"),
    "objects": (np.array([{}, {}]), "can't be read"),
    "one image": (X[:1].numpy(), "two images or more"),
    "none": (X[:0].numpy(), "two images or more"),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_that_are_no_images_are_named(folder, capsys, name):
    array, message = ARRAYS[name]
    np.savez("x.npz", x=array)
    assert called() == 3
    assert message in capsys.readouterr().err


def test_several_arrays_must_be_told_apart_and_shapes_must_fit(folder, capsys):
    np.savez("x.npz", x=X.numpy(), y=X.numpy())
    assert called() == 3 and "it holds x, y: name one, 'x.npz:x'" in capsys.readouterr().err
    saved(folder)
    assert main(["vae.safetensors", "--data", "x.npz:x"]) == 3
    assert "images of 6, where the model takes 1 x 8 x 8" in capsys.readouterr().err


def test_a_damaged_file_is_named(folder, capsys):
    whole = Path("x.npz").read_bytes()
    for damaged in (whole[:100], b"", b"nonsense"):
        Path("x.npz").write_bytes(damaged)
        assert called() == 3
        assert "'x.npz' can't be read" in capsys.readouterr().err


def test_a_number_and_what_is_left_out_are_explained(capsys):
    assert main(["--explain", "price_ratio"]) == 0
    said = capsys.readouterr().out
    assert MEASURES["price_ratio"].question in said and "fails outside" in said
    assert main(["--explain", "left-out"]) == 0
    assert all(name in said for name in LEFT_OUT) if (said := capsys.readouterr().out) else False


# --- interrupted, and alone --------------------------------------------------------------------
def test_ctrl_c_leaves_a_partial_report_that_is_whole_as_a_file(folder, capsys, monkeypatch):
    monkeypatch.setenv("STOP_AT", "20")
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert called("--json", "r.json", "--out", "r.html", model="stopping") == 130
    finally:
        signal.signal(signal.SIGINT, before)
    card = Report.load("r.json")
    verdicts = [m.verdict for m in card.measures.values()]
    assert card.meta["interrupted"] and "pass" in verdicts and "skipped" in verdicts
    assert "</html>" in Path("r.html").read_text(encoding="utf-8")
    assert "Interrupted: what had been measured" in capsys.readouterr().out


def test_ctrl_c_before_anything_was_measured_writes_nothing(folder, capsys, monkeypatch):
    monkeypatch.setattr(
        "vae_course.report.__main__.opened", lambda *_, **__: exec("raise KeyboardInterrupt")
    )
    assert called("--json", "r.json") == 130
    assert not Path("r.json").exists() and "nothing was written" in capsys.readouterr().err


@pytest.mark.skipif(not walls.available(), reason="bubblewrap is missing")
def test_a_diffusers_folder_is_reported_without_any_network(tmp_path):
    library = pytest.importorskip("diffusers")
    torch.manual_seed(0)
    blocks = {
        "block_out_channels": (8, 16),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "norm_num_groups": 4,
    }
    library.AutoencoderKL(**blocks).save_pretrained(tmp_path / "vae")
    np.savez(
        tmp_path / "x.npz", np.random.RandomState(0).randint(0, 256, (40, 16, 16, 3), np.uint8)
    )
    alone = ["bwrap", "--dev-bind", "/", "/", "--unshare-net", sys.executable, "-m"]
    words = ["vae_course.report", "vae", "--data", "x.npz", "--quick", "--keep-going"]
    done = subprocess.run(
        [*alone, *words, "--json", "r.json", "--out", "r.html"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 2), done.stderr
    card = Report.load(tmp_path / "r.json")
    assert card.meta["kind"] == "gaussian" and card.meta["declared"]["factor"] == 0.18215
    assert "brought from [0, 1] to [-1, 1]" in done.stdout
    assert "geometry: bend" in done.stderr  # the bar names the measure in work
