import pytest
from site_checks import HTML, chromium, served


@pytest.fixture(scope="session")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def site():
    with served(HTML) as address:
        yield address
