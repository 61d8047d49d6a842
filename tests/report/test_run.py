"""The one call: bad input, stages that stop, interruptions, budgets."""

import math
import time

import pytest
import torch

from tests.worlds import LinearGaussian
from vae_course.report import report, run
from vae_course.report.conditions import DEFAULT
from vae_course.report.measures import MEASURES, ROWS, STAGES
from vae_course.report.plan import Sizes
from vae_course.report.study import Study

WORLD = LinearGaussian(torch.tensor([6.0, 3.0, 2.0, 1.0], dtype=torch.float64), beta=0.3)
X = WORLD.images(60, seed=1).float()
SIZES = Sizes(images=60, decoded=40, samples=40, holes=8, codes=2, steps=6, coordinates=4)


def encode(x):
    mu, sigma = WORLD.encode(x.double())
    return mu.float(), sigma.expand_as(mu).float()


def decode(z):
    return WORLD.decode(z.double()).float()


def made(**changed):
    asked = {"encode": encode, "decode": decode, "images": X} | changed
    quiet = {"progress": False, "sizes": SIZES, "value_range": (-20, 20)}
    return report(**(quiet | asked))


# --- bad input ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        ({"images": X[:1]}, ValueError, "two images or more"),
        ({"images": X[:0]}, ValueError, "two images or more"),
        ({"images": X.long()}, TypeError, "floating-point numbers, or uint8"),
        ({"images": X.where(X < X.max(), math.nan)}, ValueError, "infinite or NaN"),
        ({"images": torch.zeros_like(X)}, ValueError, "all numbers are 0"),
        ({"value_range": (0, 1)}, ValueError, r"outside value_range=\(0, 1\)"),
        ({"value_range": (1, 0)}, ValueError, "low < high"),
        ({"budget": 0}, ValueError, "budget=0"),
        ({"only": ["fitt"]}, ValueError, "fitt"),
        ({"encode": lambda x: {"mu": x}}, TypeError, "encode gave dict"),
        ({"encode": lambda x: (x[:1], x[:1])}, ValueError, "shape"),
        ({"encode": lambda x: x > 0}, TypeError, "bool"),
        ({"encode": lambda x: x @ x}, ValueError, r"encode fails at images \(2, 6\).* shape"),
        ({"decode": lambda z: z @ z}, ValueError, r"decode fails at codes \(2, 4\).* together"),
    ],
)
def test_bad_input_names_the_argument_and_the_remedy(changed, error, said):
    with pytest.raises(error, match=said):
        made(**changed)


def test_a_list_is_no_tensor():
    with pytest.raises(TypeError, match="images must be a tensor"):
        run._checked([[0.0, 1.0]], None)  # the call itself is type-checked in tests


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda z: (decode(z),), "not a tensor"),
        (lambda z: decode(z)[:, :-1], "belong together"),
        (lambda z: decode(z).long(), "floating-point"),
    ],
)
def test_a_decoder_that_gives_no_images_is_told_so(wrong, said):
    with pytest.raises((TypeError, ValueError), match=said):
        made(decode=wrong)


def test_bytes_are_read_as_0_to_1():
    pictures = (torch.rand(40, 3, generator=torch.Generator().manual_seed(0)) * 255).byte()
    card = report(lambda x: x, lambda z: z, pictures, only=["fit"], progress=False)
    assert card.measures["fit"].value == pytest.approx(1)
    assert card.meta["value_range"] == [0.0, 1.0]


# --- what is measured --------------------------------------------------------------------------
def test_a_healthy_model_is_measured_in_the_order_of_the_registry():
    card = made(beta=WORLD.beta)
    keys = [key for key, q in MEASURES.items() if "gaussian" in q.kinds]
    assert list(card.measures) == keys
    assert card.verdict != "fail" and not card.meta["stopped"] and not card.suspects


def test_the_same_seed_gives_the_same_numbers_whatever_else_is_measured():
    whole, part = made(seed=3), made(seed=3, only=["contract", "rate"])
    assert set(part.measures) < set(whole.measures)
    for key in ("contract", "rate"):
        assert part.measures[key].value == whole.measures[key].value
    assert made(seed=4).measures["contract"].value != whole.measures["contract"].value


def test_after_a_failed_stage_nothing_is_measured():
    broken = made(decode=lambda z: decode(z).mean(0, keepdim=True).expand(len(z), *X.shape[1:]))
    stopped = broken.meta["stopped"]
    assert broken.verdict == "fail" and stopped
    for key, m in broken.measures.items():
        if STAGES.index(MEASURES[key].stage) > STAGES.index(stopped):
            assert m.verdict == "skipped" and stopped in m.reading
            assert math.isnan(m.value)
    going_on = made(decode=lambda z: decode(z) * 0 + X.mean(0), stop=False)
    assert not any("rests on it" in m.reading for m in going_on.measures.values())


def test_thresholds_are_data():
    strict = DEFAULT.replace(fit=(0.9999, 1))
    assert made(conditions=strict).measures["fit"].verdict == "fail"
    assert made().judged(strict).measures["fit"].verdict == "fail"


# --- interruptions, budgets ----------------------------------------------------------------------
def test_an_interruption_leaves_what_was_measured(monkeypatch):
    row = Study.row

    def until(self, name):
        if name == "fit":
            raise KeyboardInterrupt
        return row(self, name)

    monkeypatch.setattr(Study, "row", until)
    card = made()
    assert card.meta["interrupted"]
    assert card.measures["rate"].verdict != "skipped"
    assert "interrupted" in card.measures["fit"].reading
    assert "interrupted" in card.measures["samples_prior"].reading


def test_a_row_that_breaks_does_not_take_the_others_along(monkeypatch):
    row = Study.row

    def breaks(self, name):
        if name == "deaf":
            raise RuntimeError("expected scalar type Half")
        return row(self, name)

    monkeypatch.setattr(Study, "row", breaks)
    card = made()
    assert "expected scalar type Half" in card.measures["deaf"].reading
    assert card.measures["fit"].verdict == "pass"


class Clock:
    """A decoder that takes a told time an image, by a clock that nothing else moves."""

    def __init__(self, monkeypatch, seconds):
        self.now, self.images, self.seconds = 0.0, 0, seconds
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)

    def __call__(self, z):
        self.images += len(z)
        self.now += self.seconds(self.images) * len(z)
        return decode(z)


def test_what_a_budget_can_not_pay_is_left_out_and_said(monkeypatch):
    # 16 decoded, 32 samples a law, …: the least of everything takes longer than that.
    card = made(decode=Clock(monkeypatch, lambda _: 2e-3), budget=0.3)
    assert card.meta["left_out"]
    for name in card.meta["left_out"]:
        assert all(
            card.measures[q.key].verdict == "skipped" for q in MEASURES.values() if q.row == name
        )
    assert ROWS.keys() >= card.meta["left_out"].keys()


@pytest.mark.parametrize("late", [1, 3, 10])
def test_the_budget_is_kept_where_the_machine_slows_down(monkeypatch, late):
    clock = Clock(monkeypatch, lambda images: 1e-3 * (late if images > 150 else 1))
    wide = Sizes(images=60, decoded=60, samples=256, holes=64, codes=2)
    card = made(decode=clock, budget=3.0, sizes=wide)
    assert clock.now <= 1.2 * 3
    assert clock.now > 0.5  # and used
    assert card.meta["seconds"] == clock.now
    assert (card.meta["sizes"]["samples"] < 256) == (late == 3)
    assert bool(card.meta["left_out"]) == (late == 10)


def test_an_unknown_distortion_has_no_ruler():
    card = made(distortion=lambda x, y: (x - y).abs().flatten(1).sum(1))
    assert "metric=" in card.measures["price"].reading
    assert card.measures["bend"].verdict != "skipped"
