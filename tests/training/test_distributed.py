"""The same sweep on a dask cluster: the same numbers, whoever dies. Needs the extra ``scale``."""

import os
import signal

import joblib
import pytest
import torch
from sklearn.datasets import load_digits

from vae_course.models import VAE
from vae_course.training import sweep

distributed = pytest.importorskip(
    "distributed", reason="dask is missing: pip install 'vae_course[scale]'"
)
pytestmark = [
    pytest.mark.scale,
    # dask's own threads and sockets, at the end of a cluster or of a killed worker
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

X = torch.tensor(load_digits().images[:400] / 16, dtype=torch.float32)[:, None]
CONFIG = dict(image_shape=(1, 8, 8), d=2, hidden=(32,))
GRID = dict(betas=(0.03, 0.3), seeds=(0, 5))
OPTIONS = dict(steps=60, batch_size=32, progress=False)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The sweep without a cluster, in this very process."""
    folder = tmp_path_factory.mktemp("alone")
    return sweep(VAE.mlp, CONFIG, X, workers=1, folder=folder, **GRID, **OPTIONS)


@pytest.fixture(scope="module")
def client():
    """A cluster of two worker processes of one thread, here."""
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def assert_equal(one, other):
    assert (one.history.loss == other.history.loss).all()
    for ours, theirs in zip(sum(one.members, []), sum(other.members, []), strict=True):
        for name, value in ours.state_dict().items():
            assert torch.equal(value, theirs.state_dict()[name])


@pytest.mark.timeout(900)
def test_a_cluster_runs_the_same_sweep_bit_for_bit(alone, client, tmp_path):
    here = os.getpid()

    def elsewhere(**config):
        """Leaves the process id of each run's worker in the folder."""
        model = VAE.mlp(**config)
        model.encoder.register_forward_hook(lambda *_: (tmp_path / f"{os.getpid()}.pid").touch())
        return model

    with joblib.parallel_config(backend="dask"):
        result = sweep(elsewhere, CONFIG, X, workers=2, folder=tmp_path, **GRID, **OPTIONS)
    ran_in = {int(path.stem) for path in tmp_path.glob("*.pid")}
    assert ran_in and here not in ran_in
    assert len(list(tmp_path.glob("*.safetensors"))) == 4
    assert_equal(result, alone)


@pytest.mark.timeout(900)
def test_the_cluster_replaces_a_killed_worker_within_the_call(alone, client, tmp_path):
    def build(beta, seed, **config):
        model, calls = VAE.mlp(**config, beta=beta, seed=seed), []

        def die_once(*_):
            calls.append(0)
            if len(calls) == 30 and not (tmp_path / "death").exists():
                (tmp_path / "death").touch()
                os.kill(os.getpid(), signal.SIGKILL)

        if (beta, seed) == (0.3, 5):
            model.encoder.register_forward_hook(die_once)
        return model

    with joblib.parallel_config(backend="dask"):
        result = sweep(build, CONFIG, X, workers=2, folder=tmp_path, **GRID, **OPTIONS)
    assert (tmp_path / "death").exists()
    assert_equal(result, alone)
