"""What the tests share: small checkpoints, and the largest difference between arrays."""

import json
import shutil
import sys
from pathlib import Path

import numpy
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from gguf_file import read_safetensors, write_gguf  # noqa: E402
from tour import CATS, FIXTURES, REPOSITORY, STABLE_DIFFUSION, prepare  # noqa: E402


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    """The paths of small checkpoints by the names that the quicktour has for them."""
    return prepare(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="session")
def stable_diffusion(checkpoints):
    return checkpoints[STABLE_DIFFUSION]


@pytest.fixture(scope="session")
def cats(checkpoints):
    return checkpoints[CATS]


@pytest.fixture(scope="session")
def emoji():
    return str(REPOSITORY / "models" / "emoji-diffusion")


@pytest.fixture
def pipeline(stable_diffusion):
    from oxidiff import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained(stable_diffusion)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture
def copied(tmp_path, stable_diffusion):
    """A checkpoint that a test may damage."""
    return Path(shutil.copytree(stable_diffusion, tmp_path / "copied"))


def with_initial_weights(folder, fixture, parts, tokenizers):
    """A checkpoint with the configurations of a fixture."""
    import oxidiff

    shutil.copytree(FIXTURES / fixture / "checkpoint", folder)
    for name, kind in parts.items():
        getattr(oxidiff, kind).from_config(json.loads((folder / name / "config.json").read_text())).save_pretrained(folder / name)
    for name, source in tokenizers.items():
        shutil.copytree(FIXTURES / source, folder / name, dirs_exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def sd3(tmp_path_factory):
    """A small checkpoint of Stable Diffusion 3."""
    parts = dict(transformer="SD3Transformer2DModel", text_encoder="CLIPTextModelWithProjection", text_encoder_2="CLIPTextModelWithProjection",
                 text_encoder_3="T5EncoderModel", vae="AutoencoderKL")
    xl = "stable_diffusion_xl/base"
    tokenizers = dict(tokenizer=f"{xl}/tokenizer", tokenizer_2=f"{xl}/tokenizer_2", tokenizer_3="t5/tokenizer")
    return with_initial_weights(tmp_path_factory.mktemp("sd3") / "checkpoint", "stable_diffusion_3", parts, tokenizers)


@pytest.fixture(scope="session")
def flux(tmp_path_factory):
    """A small checkpoint of FLUX.1."""
    parts = dict(transformer="FluxTransformer2DModel", text_encoder="CLIPTextModel", text_encoder_2="T5EncoderModel", vae="AutoencoderKL")
    tokenizers = dict(tokenizer="stable_diffusion_xl/base/tokenizer", tokenizer_2="t5/tokenizer")
    return with_initial_weights(tmp_path_factory.mktemp("flux") / "checkpoint", "flux", parts, tokenizers)


@pytest.fixture(scope="session")
def flux_gguf(flux, tmp_path_factory):
    """The transformer of that checkpoint as a GGUF file."""
    tensors = read_safetensors(flux / "transformer" / "diffusion_pytorch_model.safetensors")
    return write_gguf(tmp_path_factory.mktemp("gguf") / "flux.gguf", tensors, lambda name: "blocks." in name)


@pytest.fixture(scope="session")
def sd3_image_encoder(tmp_path_factory):
    """The image encoder of an IP-Adapter for Stable Diffusion 3."""
    import oxidiff

    source, folder = FIXTURES / "stable_diffusion_3_ip_adapter" / "image_encoder", tmp_path_factory.mktemp("sd3_image_encoder")
    config = json.loads((source / "config.json").read_text())
    oxidiff.SiglipVisionModel.from_config(config).save_pretrained(folder)
    shutil.copy(source / "preprocessor_config.json", folder)
    return folder


def largest_difference(left, right):
    left, right = numpy.asarray(left), numpy.asarray(right)
    assert left.shape == right.shape
    return float(numpy.abs(left.astype(numpy.float64) - right.astype(numpy.float64)).max())


__all__ = ["FIXTURES", "largest_difference"]
