"""A lab begins with its tier, and ends with what it cost."""

import json
import resource
import time

import pytest
import torch

from vae_course import lab

TIERS = [("smoke", 10, 1), ("class", 20, 3), ("full", 30, 5), ("paper", 40, 5)]


@pytest.mark.parametrize("tier, size, seeds", TIERS)
def test_a_tier_picks_sizes_and_seeds(tier, size, seeds, monkeypatch, capsys):
    monkeypatch.setenv("VAE_COURSE_TIER", tier)
    here = lab.start("00-test")
    assert here.pick(smoke=10, class_=20, full=30, paper=40) == size
    assert here.pick(smoke=10, class_=20, full=30) == min(size, 30)
    assert here.steps(smoke=10, class_=20, full=30, paper=40) == size
    assert here.keep("vaes", 0) is None
    monkeypatch.setenv("VAE_COURSE_HALF", "1")
    monkeypatch.setenv("VAE_COURSE_RUNS", "runs")
    assert here.steps(smoke=10, class_=20, full=30, paper=40) == size // 2
    assert here.pick(smoke=10, class_=20, full=30, paper=40) == size
    assert here.keep("vaes", 0).as_posix() == "runs/vaes-0.run"
    assert list(here.seeds) == list(range(seeds))
    assert f"tier {tier}" in capsys.readouterr().out


def test_a_lab_takes_a_cuda_gpu_or_the_cpu_and_an_apple_gpu_only_when_asked(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert lab.start("00-test").device.type == "cpu" and "mps" not in capsys.readouterr().out
    with pytest.raises(ValueError, match="device='mps' is not on this machine: choose 'cpu'"):
        lab.start("00-test", "mps")
    with pytest.raises(ValueError, match="device='tpus' is not on this machine"):
        lab.start("00-test", "tpus")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert lab.start("00-test").device.type == "cpu"
    assert "start('00-test', 'mps') uses it" in capsys.readouterr().out
    assert lab.start("00-test", "mps").device.type == "mps"
    assert "· mps (" in capsys.readouterr().out
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    assert lab.start("00-test").device.type == "cuda"
    assert lab.start("00-test", torch.device("cpu")).device.type == "cpu"


def cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def test_the_cost_on_record_is_the_cpu_time_of_the_process(tmp_path, monkeypatch):
    monkeypatch.setenv("VAE_COURSE_RESULTS", str(tmp_path))
    here = lab.start("00-test")
    before = cpu_seconds()
    here.finish()
    cost = json.loads((tmp_path / "labs" / "00-test.json").read_text())
    rounding = 0.05 + 4 * 0.01  # to a tenth, of four clocks of the system that tick hundredths
    assert before - rounding <= cost["cpu_seconds"] <= cpu_seconds() + rounding
    assert cost["wall_seconds"] >= 0 and cost["machine"]["torch"] == torch.__version__


def test_a_stale_import_asks_for_a_restart(monkeypatch):
    monkeypatch.setattr("vae_course.__version__", "0.0.0")
    with pytest.raises(RuntimeError, match="restart the kernel"):
        lab.start("00-test")
