"""The number of a chapter is the same in its file's name, its title, its figures and its lab."""

import re

import pytest

from tests.site.site_checks import HTML, pages

NUMBERED = [name for name in pages() if re.match(r"\d\d-", name.rpartition("/")[2])]


@pytest.mark.parametrize("name", NUMBERED)
def test_a_page_has_the_number_of_its_file(name):
    text = (HTML / name).read_text(encoding="utf-8")
    number = int(name.rpartition("/")[2][:2])
    title = re.search(r"<title>(\d+)\.", text)
    assert title and int(title[1]) == number
    headings = re.findall(r'<h\d[^>]*><span class="section-number">(\d+)\.', text)
    captions = re.findall(r'class="caption-number">[A-Z][a-z.]+ (\d+)\.', text)
    assert headings and {int(n) for n in headings + captions} == {number}
