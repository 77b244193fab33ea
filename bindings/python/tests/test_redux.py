"""FLUX.1 Redux from Python. What it computes is compared with diffusers in the tests of the library."""

import json
import shutil

import numpy as np
import pytest
from conftest import FIXTURES
from PIL import Image

import oxidiff
from oxidiff import FluxPriorReduxPipeline, ReduxImageEncoder, SiglipVisionModel

TOKENS = 512


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small checkpoint with initial weights."""
    made = tmp_path_factory.mktemp("redux") / "checkpoint"
    shutil.copytree(FIXTURES / "flux_redux" / "checkpoint", made)
    for name, kind in (("image_encoder", SiglipVisionModel), ("image_embedder", ReduxImageEncoder)):
        config = json.loads((made / name / "config.json").read_text())
        kind.from_config(config).save_pretrained(made / name)
    return made


@pytest.fixture
def redux(folder):
    return FluxPriorReduxPipeline.from_pretrained(folder)


def picture(shade):
    return Image.fromarray(np.arange(24 * 32 * 3, dtype=np.uint64).reshape(24, 32, 3).astype(np.uint8) // shade)


def test_images_become_the_keywords_of_a_call(redux):
    made = redux(picture(1))
    assert list(made) == ["prompt_embeds", "pooled_prompt_embeds"]
    features = redux.image_embedder.config.txt_in_features
    assert made.prompt_embeds.shape[0] == 1 and made.prompt_embeds.shape[1] > TOKENS
    assert made.prompt_embeds.shape[2] == features and tuple(made.pooled_prompt_embeds.shape) == (1, 768)
    tokens, pooled = redux(picture(1), return_dict=False)
    assert np.array_equal(np.asarray(tokens), np.asarray(made.prompt_embeds))
    assert np.array_equal(np.asarray(pooled), np.asarray(made[1]))


def test_several_images_are_weighed(redux):
    both = [picture(1), picture(2)]
    first = np.asarray(redux(both[0]).prompt_embeds)
    only_first = np.asarray(redux(both, prompt_embeds_scale=[1.0, 0.0]).prompt_embeds)
    assert np.abs(only_first - first).max() < 1e-5
    with pytest.raises(ValueError, match="prompt_embeds_scale"):
        redux(both, prompt_embeds_scale=[1.0, 0.5, 0.2])
    with pytest.raises(ValueError, match="image"):
        redux()
    with pytest.raises(TypeError, match="height"):
        redux(both, height=32)


def test_parts_and_files(redux, tmp_path):
    assert redux.text_encoder is None and redux.components["tokenizer"] is None
    assert type(redux.image_encoder).__name__ == "SiglipVisionModel"
    redux.save_pretrained(tmp_path / "saved")
    again = FluxPriorReduxPipeline.from_pretrained(tmp_path / "saved", dtype="float32")
    image = picture(1)
    assert np.array_equal(np.asarray(again(image).prompt_embeds), np.asarray(redux(image).prompt_embeds))
    with pytest.raises(NotImplementedError, match="image_encoder"):
        redux.image_encoder = None
    with pytest.raises(TypeError, match="text_encoder"):
        redux.text_encoder = "clip"
    with pytest.raises(ValueError, match="text_encoder"):
        redux.text_encoder = redux.image_encoder
    assert oxidiff.pipelines.FluxPriorReduxPipeline is FluxPriorReduxPipeline
