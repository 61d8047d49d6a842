"""The faults are still faults: each line is found once, where a test is to catch it."""

from tests.faults.__main__ import ROOT, read

FAULTS = read()


def test_each_package_of_the_library_has_three_faults_at_least():
    packages = {path.parent.name for path in (ROOT / "vae_course").glob("*/__init__.py")}
    assert FAULTS.keys() == packages | {"files"}
    assert min(map(len, FAULTS.values())) >= 3


def test_each_fault_changes_its_package_and_names_tests_that_are_there():
    for package, faults in FAULTS.items():
        for fault in faults:
            assert fault["file"].startswith(f"vae_course/{package}")
            assert fault["line"] != fault["instead"]
            assert (ROOT / fault["tests"]).exists(), f"{package}.toml, {fault['name']}"


def test_no_two_faults_share_a_name():
    names = [fault["name"] for faults in FAULTS.values() for fault in faults]
    assert len(names) == len(set(names))
