"""Pipelines without some of their parts, as programs make them to save memory."""

import pytest
from conftest import largest_difference

from oxidiff import AutoPipelineForText2Image, DiffusionPipeline, FluxPipeline, Generator


@pytest.fixture(scope="module")
def whole(flux):
    return DiffusionPipeline.from_pretrained(flux)


def images(pipeline, **arguments):
    pipeline.set_progress_bar_config(disable=True)
    arguments = {"prompt": "a red apple", "num_inference_steps": 1, "output_type": "np", "generator": Generator(0), **arguments}
    return pipeline(height=32, width=32, max_sequence_length=8, **arguments).images


@pytest.mark.parametrize("name", ["transformer", "vae", "scheduler", "tokenizer"])
def test_parts_are_taken_away_and_given_back(flux, whole, name):
    expected = images(whole)
    for kind in (DiffusionPipeline, FluxPipeline, AutoPipelineForText2Image):
        pipeline = kind.from_pretrained(flux, **{name: None})
        assert getattr(pipeline, name) is None and pipeline.components[name] is None
        assert pipeline.config[name] == [None, None] and pipeline.config["_class_name"] == "FluxPipeline"
        for use in (lambda: images(pipeline), lambda: pipeline.save_pretrained("nowhere"), lambda: FluxPipeline.from_pipe(pipeline)):
            with pytest.raises(ValueError, match=f"the FluxPipeline has no `{name}`"):
                use()
    pipeline.to("float32")
    setattr(pipeline, name, getattr(whole, name))
    assert getattr(pipeline, name) is getattr(whole, name) and largest_difference(images(pipeline), expected) == 0
    delattr(pipeline, name)
    assert getattr(pipeline, name) is None and "FluxPipeline" in repr(pipeline)
    setattr(pipeline, name, None)
    pipeline.guidance_embeds = "a value of the program's own"
    del pipeline.guidance_embeds
    setattr(pipeline, name, getattr(whole, name))
    assert largest_difference(images(pipeline), expected) == 0


def test_several_parts_are_missing(flux, whole):
    pipeline = FluxPipeline(**{**whole.components, "transformer": None, "text_encoder_2": None, "vae": None})
    assert pipeline.vae_scale_factor == 8 and pipeline.transformer is None
    pipeline.vae = whole.vae
    with pytest.raises(ValueError, match="`transformer`"):
        images(pipeline)
    pipeline.transformer = whole.transformer
    with pytest.raises(ValueError, match="lacks a text encoder"):
        images(pipeline)
    pipeline.text_encoder_2 = whole.text_encoder_2
    assert largest_difference(images(pipeline), images(whole)) == 0
    with pytest.raises(ValueError, match="does not fit"):
        FluxPipeline(**{**whole.components, "transformer": whole.vae, "vae": None}).vae = whole.vae


def test_prompts_are_embedded_elsewhere(flux, whole):
    import numpy

    random = numpy.random.default_rng(0)
    embedded = {
        "prompt_embeds": random.normal(size=(1, 8, whole.transformer.config.joint_attention_dim)).astype(numpy.float32),
        "pooled_prompt_embeds": random.normal(size=(1, whole.transformer.config.pooled_projection_dim)).astype(numpy.float32),
    }
    without = DiffusionPipeline.from_pretrained(flux, text_encoder=None, text_encoder_2=None, tokenizer=None, tokenizer_2=None)
    assert without.tokenizer is None and without.text_encoder_2 is None
    assert largest_difference(images(without, prompt=None, **embedded), images(whole, prompt=None, **embedded)) == 0


def test_a_type_for_each_part(flux, whole):
    expected = images(whole)
    mixed = FluxPipeline.from_pretrained(flux, torch_dtype={"transformer": "bfloat16", "unet": "float16"})
    types = [str(mixed.components[name].dtype).split(".")[-1] for name in ("transformer", "vae", "text_encoder_2")]
    assert types == ["bfloat16", "float32", "float32"]
    assert 0 < largest_difference(images(mixed), expected) < 0.2
    mixed = AutoPipelineForText2Image.from_pretrained(flux, torch_dtype={"vae": "float32", "default": "bfloat16"}, text_encoder=whole.text_encoder)
    types = [str(mixed.components[name].dtype).split(".")[-1] for name in ("transformer", "vae", "text_encoder", "text_encoder_2")]
    assert types == ["bfloat16", "float32", "float32", "bfloat16"]
    # The weights that stay in float32 were never rounded.
    import numpy

    latents = numpy.ones((1, whole.vae.config.latent_channels, 4, 4), numpy.float32)
    assert largest_difference(mixed.vae.decode(latents).sample, whole.vae.decode(latents).sample) == 0
    with pytest.raises(ValueError, match="one element type"):
        type(whole.vae).from_pretrained(flux, subfolder="vae", torch_dtype={"default": "bfloat16"})
    with pytest.raises(ValueError, match=r"torch_dtype\['vae'\]"):
        FluxPipeline.from_pretrained(flux, torch_dtype={"vae": "float64"})
