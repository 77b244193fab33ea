"""T2I-Adapters, alone and several at once. `crates/oxidiff-tests/tests/steering/t2i_adapter` compares their images with recorded ones."""

import numpy
import pytest
from conftest import FIXTURES, largest_difference
from PIL import Image

from oxidiff import (
    AutoPipelineForText2Image,
    DDIMScheduler,
    DiffusionPipeline,
    Generator,
    StableDiffusionAdapterPipeline,
    StableDiffusionPipeline,
    T2IAdapter,
)

FOLDER = FIXTURES / "t2i_adapter"
SD1 = FIXTURES / "pipelines" / "sd1"
random = numpy.random.default_rng(2)
first, second = (Image.fromarray(random.integers(0, 255, (32, 32, 3), numpy.uint8)) for _ in range(2))


@pytest.fixture(scope="module")
def adapters():
    return [T2IAdapter.from_pretrained(FOLDER / name) for name in ("adapter", "adapter_1")]


@pytest.fixture(scope="module")
def parts():
    parts = DiffusionPipeline.from_pretrained(SD1).components
    return {**parts, "scheduler": DDIMScheduler.from_config(parts["scheduler"].config)}


def images(pipeline, image, **arguments):
    pipeline.set_progress_bar_config(disable=True)
    arguments = {"num_inference_steps": 2, "output_type": "np", "generator": Generator(1), **arguments}
    return pipeline("a red apple", image=image, **arguments).images


def test_images_follow_another(parts, adapters):
    pipeline = StableDiffusionAdapterPipeline(**parts, adapter=adapters[0])
    assert pipeline.adapter is adapters[0] and pipeline.config.adapter == ["diffusers", "T2IAdapter"]
    followed = images(pipeline, first)
    assert followed.shape == (1, 32, 32, 3)
    assert largest_difference(followed, images(pipeline, second)) > 1e-3
    free = images(pipeline, first, adapter_conditioning_scale=0.0)
    assert largest_difference(free, images(pipeline, second, adapter_conditioning_scale=0.0)) == 0
    values = numpy.asarray(first, numpy.float32).transpose(2, 0, 1)[None] / 255
    torch = pytest.importorskip("torch")
    assert largest_difference(images(pipeline, torch.from_numpy(values.copy())), followed) < 1e-5
    # Prompts and their images.
    pipeline.set_progress_bar_config(disable=True)
    two = pipeline(["a dog", "a cat"], image=[first, second], num_inference_steps=1, output_type="np").images
    assert two.shape == (2, 32, 32, 3)


def test_several_adapters(parts, adapters, tmp_path):
    both = StableDiffusionAdapterPipeline(**parts, adapter=adapters)
    grey = second.convert("L")
    made = images(both, [first, grey], adapter_conditioning_scale=[0.5, 1.0])
    assert largest_difference(made, images(both, [first, grey], adapter_conditioning_scale=[1.0, 0.5])) > 1e-3
    # A list for each adapter, with an image for each prompt.
    both.set_progress_bar_config(disable=True)
    two = both(["a dog", "a cat"], image=[[first, second], [grey, grey]], num_inference_steps=1, output_type="np").images
    assert two.shape == (2, 32, 32, 3)
    both.save_pretrained(tmp_path)
    assert both.config.adapter == ["diffusers", "MultiAdapter"]
    loaded = DiffusionPipeline.from_pretrained(tmp_path)
    assert type(loaded) is StableDiffusionAdapterPipeline
    assert largest_difference(images(loaded, [first, grey], adapter_conditioning_scale=[0.5, 1.0]), made) < 1e-5
    with pytest.raises(ValueError, match="image"):
        images(both, [first, second, first])


def test_adapters_are_given_to_other_pipelines(parts, adapters):
    expected = images(StableDiffusionAdapterPipeline(**parts, adapter=adapters[0]), first)
    plain = StableDiffusionPipeline(**parts)
    made = StableDiffusionAdapterPipeline.from_pipe(plain, adapter=adapters[0])
    assert type(made) is StableDiffusionAdapterPipeline and made.adapter is adapters[0]
    assert largest_difference(images(made, first), expected) == 0
    for kind in (StableDiffusionAdapterPipeline, DiffusionPipeline, AutoPipelineForText2Image):
        loaded = kind.from_pretrained(SD1, adapter=adapters)
        assert type(loaded) is StableDiffusionAdapterPipeline
    again = StableDiffusionPipeline.from_pipe(made)
    assert type(again) is StableDiffusionPipeline and "adapter" not in again.components
    with pytest.raises(TypeError, match="adapter"):
        DiffusionPipeline.from_pretrained(SD1, adapter="lines")
    with pytest.raises(TypeError, match="adapter"):
        StableDiffusionAdapterPipeline.from_pipe(plain, adapter=plain.unet)
    with pytest.raises(NotImplementedError, match="adapter"):
        T2IAdapter.from_pretrained(FOLDER / "adapter", adapter=adapters[0])
    xl = T2IAdapter.from_config({"channels": [16, 16], "adapter_type": "full_adapter_xl", "downscale_factor": 16})
    with pytest.raises(ValueError, match="adapter"):
        StableDiffusionAdapterPipeline(**parts, adapter=xl)


def test_the_model_returns_a_list_of_features(adapters):
    values = numpy.asarray(first, numpy.float32).transpose(2, 0, 1)[None] / 255
    features = adapters[0](values)
    assert isinstance(features, list) and [feature.shape for feature in features] == [(1, 16, 4, 4), (1, 32, 2, 2), (1, 32, 1, 1)]
    assert adapters[0].downscale_factor == 8 and adapters[0].total_downscale_factor == 32
    torch = pytest.importorskip("torch")
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.T2IAdapter.from_pretrained(FOLDER / "adapter", torch_dtype=torch.float32)
    assert theirs.total_downscale_factor == 32
    with torch.inference_mode():
        expected = theirs(torch.from_numpy(values))
    for ours, other in zip(features, expected, strict=True):
        assert largest_difference(ours, other.numpy()) < 1e-4
