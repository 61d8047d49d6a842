"""How to train: where schedules start and end, and which plans are none."""

import math

import pytest

from vae_course.training import Plan
from vae_course.training.plan import SCHEDULES, one_cycle


@pytest.mark.parametrize("name, first, last", [("cosine", 1, 0), ("constant", 1, 1)])
def test_schedules_start_and_end_where_they_say(name, first, last):
    schedule = SCHEDULES[name]
    assert schedule(0, 1000) == first
    assert schedule(999, 1000) == pytest.approx(last, abs=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 1000])
def test_one_cycle_reaches_the_highest_rate_and_never_exceeds_it(steps):
    factors = [one_cycle(t, steps) for t in range(steps)]
    assert all(0 < f <= 1 for f in factors)
    assert max(factors) > 0.85


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(steps=0), "steps=0"),
        (dict(batch_size=0), "batch_size=0"),
        (dict(lr=-1.0), r"lr=-1\.0"),
        (dict(lr=math.nan), "lr=nan"),
        (dict(schedule="step"), "schedule='step': choose one of .*one_cycle"),
        (dict(precision="fp8"), "precision='fp8': choose 'float32' or 'bf16'"),
        (dict(clip=0.0), r"clip=0\.0"),
        (dict(checkpoint_every=0), "checkpoint_every=0"),
        (dict(target_rate=0.0), r"target_rate=0\.0: must be positive and finite"),
        (dict(target_rate=-1.0), r"target_rate=-1\.0"),
        (dict(target_rate=math.nan), "target_rate=nan"),
        (dict(target_rate=math.inf), "target_rate=inf"),
    ],
)
def test_bad_plans_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        Plan(**dict(steps=5) | change)
