"""A run's state: its stream of batches, and a checkpoint that is of this run or refused."""

import math

import pytest
import torch

from tests.training.small import QUICK, STEPS, X, small, trained
from vae_course.files import CheckpointError
from vae_course.training import fit
from vae_course.training.state import Stream


@pytest.mark.parametrize("n", [9, 10, 11])  # a whole number of batches, one more, one short of it
def test_an_epoch_visits_each_image_at_most_once_and_leaves_out_less_than_a_batch(n):
    stream = Stream(seed=0, n=n, batch_size=3, device=torch.device("cpu"))
    epochs = [torch.cat([stream.batch() for _ in range(3)]) for _ in range(200)]
    assert all(len(epoch) == len(epoch.unique()) == 9 for epoch in epochs)
    visits = torch.cat(epochs).bincount(minlength=n)  # binomial(200, 9 / n)
    deviation = math.sqrt(200 * 9 / n * (1 - 9 / n))
    assert ((visits - 200 * 9 / n).abs() <= 4 * deviation).all()


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The checkpoint of a finished run."""
    path = tmp_path_factory.mktemp("finished") / "run"
    trained(checkpoint=path)
    return path


@pytest.mark.parametrize(
    "change, named",
    [
        (dict(lr=1e-3), "lr: 0.002 in the file, 0.001 now"),
        (dict(steps=80), f"steps: {STEPS} in the file, 80 now"),
        (dict(seed=1), r"seeds: \[0\] in the file, \[1\] now"),
        (dict(data=X[:200]), "data: '[0-9a-f]{64}' in the file"),
        (dict(schedule="cosine", clip=1.0), "clip: None in .*; schedule: 'one_cycle' in"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused_with_the_differences(change, named, finished):
    content = finished.read_bytes()
    with pytest.raises(CheckpointError, match=rf"run' belongs to another run \({named}.*delete"):
        trained(checkpoint=finished, **change)
    assert finished.read_bytes() == content


def test_a_checkpoint_of_another_model_is_refused(finished):
    with pytest.raises(CheckpointError, match=r"model: .*'beta': 0\.3.* now"):
        fit(small(beta=0.3), X, checkpoint=finished, **QUICK)


class Bomb:
    def __reduce__(self):
        return print, ("ran",)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "foreign", "bomb"])
def test_an_unreadable_checkpoint_is_named_with_the_remedy(damage, finished, tmp_path, capsys):
    path = tmp_path / "run"
    content = bytearray(finished.read_bytes())
    middle = len(content) // 2
    if damage == "bomb":
        torch.save(Bomb(), path)
    elif damage == "foreign":
        torch.save({"weights": torch.zeros(2)}, path)
    else:
        content[: len(content) // 4] = bytes(b ^ 255 for b in content[: len(content) // 4])
        path.write_bytes({"truncated": content[:middle], "flipped": content, "empty": b""}[damage])
    with pytest.raises(CheckpointError, match=r"checkpoint '.*run' can't be read .*delete it"):
        trained(checkpoint=path)
    assert "ran" not in capsys.readouterr().out
