"""The Python snippets of the documentation run, those of one page after the other."""

import re
import shutil

import pytest
from tour import FIXTURES, REPOSITORY, replaced

PAGES = ["README.md", "docs/python.md", "bindings/python/README.md"]


def snippets(page):
    return re.findall(r"^```python\n(.*?)^```", (REPOSITORY / page).read_text(), re.M | re.S)


@pytest.fixture(scope="module")
def names(checkpoints, flux, flux_gguf, sd3, sd3_image_encoder, tmp_path_factory):
    """The paths of small files and folders by their names on the hub."""
    adapter = tmp_path_factory.mktemp("flux-ip-adapter")
    shutil.copy(FIXTURES / "flux_ip_adapter" / "xlabs.safetensors", adapter / "ip_adapter.safetensors")
    further = {
        "black-forest-labs/FLUX.1-dev": flux,
        "https://huggingface.co/city96/FLUX.1-dev-gguf/blob/main/flux1-dev-Q8_0.gguf": flux_gguf,
        "XLabs-AI/flux-ip-adapter": adapter,
        "openai/clip-vit-large-patch14": FIXTURES / "ip_adapter" / "models" / "image_encoder",
        "stabilityai/stable-diffusion-3-medium-diffusers": sd3,
        "stabilityai/stable-diffusion-3.5-large": sd3,
        "InstantX/SD3.5-Large-IP-Adapter": FIXTURES / "stable_diffusion_3_ip_adapter",
        "google/siglip-so400m-patch14-384": sd3_image_encoder,
    }
    return {**checkpoints, **{name: str(path) for name, path in further.items()}}


@pytest.mark.parametrize("page", PAGES)
def test_snippets(page, names, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").symlink_to(REPOSITORY / "models")
    found = snippets(page)
    assert found, f"{page} has no snippet"
    space = {}
    for number, code in enumerate(found):
        exec(compile(replaced(code, "oxidiff", names), f"<{page}, snippet {number}>", "exec"), space)
    assert list(tmp_path.glob("*.png"))
