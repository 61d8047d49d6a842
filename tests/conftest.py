"""Every test runs with jaxtyping's shapes checked: a wrong annotation is a failing test."""

import beartype
from jaxtyping import install_import_hook

# The hook takes a checker by its dotted name; ours lets an int pass for a float, as Python does.
beartype.lenient = beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))
install_import_hook("vae_course", "beartype.lenient")

import pytest  # noqa: E402
import torch  # noqa: E402
from jaxtyping import config  # noqa: E402

# A small MLP step on two busy threads can be ten times slower than on one.
torch.set_num_threads(1)


@pytest.fixture
def unchecked():
    """Shapes unchecked, as users run the library: for tests of its own error messages."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for mark in item.iter_markers("slow"):
            if not mark.kwargs.get("reason"):
                raise pytest.UsageError(f"{item.nodeid} is slow: give a reason, slow(reason=...)")
