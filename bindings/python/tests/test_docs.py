"""The Python snippets of the documentation run, those of one page after the other."""

import re

import pytest
from tour import REPOSITORY, replaced

PAGES = ["README.md", "docs/python.md", "bindings/python/README.md"]


def snippets(page):
    return re.findall(r"^```python\n(.*?)^```", (REPOSITORY / page).read_text(), re.M | re.S)


@pytest.mark.parametrize("page", PAGES)
def test_snippets(page, checkpoints, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").symlink_to(REPOSITORY / "models")
    found = snippets(page)
    assert found, f"{page} has no snippet"
    space = {}
    for number, code in enumerate(found):
        exec(compile(replaced(code, "oxidiff", checkpoints), f"<{page}, snippet {number}>", "exec"), space)
    assert list(tmp_path.glob("*.png"))
