"""What calls of pipelines take and refuse, what pipelines know of their calls, and copies."""

import copy

import numpy
import pytest
from conftest import largest_difference
from PIL import Image

import oxidiff
from oxidiff import EulerDiscreteScheduler, Generator, StableDiffusionImg2ImgPipeline, StableDiffusionPipeline


def images(pipeline, prompt="a red apple", **arguments):
    arguments = {"num_inference_steps": 2, "generator": Generator(0), "output_type": "np", **arguments}
    return pipeline(prompt, **arguments).images


def test_arguments_that_must_not_be_none(pipeline):
    for name in ("guidance_scale", "num_inference_steps", "num_images_per_prompt", "eta"):
        with pytest.raises(TypeError, match=name):
            images(pipeline, **{name: None})
    assert isinstance(images(pipeline, output_type=None), numpy.ndarray)


def test_strings_of_numpy_are_prompts(pipeline):
    prompts = numpy.array(["a red apple", "a house"])
    assert largest_difference(images(pipeline, prompts[0]), images(pipeline)) == 0
    assert largest_difference(images(pipeline, list(prompts)), images(pipeline, prompts.tolist())) == 0
    with pytest.raises(TypeError, match="prompt"):
        images(pipeline, prompts)


@pytest.mark.parametrize("argument", ["latents", "prompt_embeds"])
def test_empty_arrays_are_refused(pipeline, argument):
    shape = {"latents": (0, 4, 8, 8), "prompt_embeds": (1, 0, 32)}[argument]
    with pytest.raises(ValueError, match=argument):
        images(pipeline, None if argument == "prompt_embeds" else "a", **{argument: numpy.zeros(shape, numpy.float32)})


def test_copies_are_independent(pipeline):
    expected = images(pipeline)
    copied = copy.deepcopy(pipeline)
    assert copied.unet is not pipeline.unet and copied.scheduler is not pipeline.scheduler
    copied.scheduler = EulerDiscreteScheduler.from_config(copied.scheduler.config)
    copied.unet.to("float16")
    assert largest_difference(images(pipeline), expected) == 0
    assert pipeline.unet.dtype == oxidiff.float32 and type(pipeline.scheduler) is not EulerDiscreteScheduler
    unet = copy.deepcopy(pipeline.unet)
    unet.to("float16")
    assert pipeline.unet.dtype == oxidiff.float32


def test_what_a_pipeline_knows_of_its_call(pipeline):
    images(pipeline, guidance_scale=3.0)
    assert pipeline.do_classifier_free_guidance and pipeline.guidance_scale == 3.0 and pipeline.clip_skip is None
    images(pipeline, guidance_scale=1.0)
    assert not pipeline.do_classifier_free_guidance
    assert pipeline.vae_scale_factor == 2 ** (len(pipeline.vae.config.block_out_channels) - 1)
    picture = Image.new("RGB", (64, 48))
    assert pipeline.image_processor.preprocess(picture).shape == (1, 3, 48, 64)
    for name in ("vae_scale_factor", "image_processor", "config"):
        with pytest.raises(NotImplementedError, match=name):
            setattr(pipeline, name, 4)
    pipeline.note = "of the program"
    assert pipeline.note == "of the program"


def test_what_is_not_supported_says_so(pipeline):
    for call in (
        lambda: StableDiffusionPipeline.fuse_qkv_projections(),
        lambda: pipeline.encode_prompt("x"),
        lambda: pipeline.unet.state_dict(),
        lambda: pipeline.unet.set_attn_processor(None),
        lambda: pipeline.tokenizer.model_max_length,
        lambda: oxidiff.utils.load_video("x"),
        lambda: oxidiff.StableAudioPipeline,
        lambda: oxidiff.callbacks.SDCFGCutoffCallback,
    ):
        import oxidiff.callbacks
        import oxidiff.utils

        with pytest.raises(NotImplementedError):
            call()
    with pytest.raises(TypeError, match="pipeline"):
        StableDiffusionImg2ImgPipeline.from_pipe(None)
    with pytest.raises(FileNotFoundError):
        pipeline.save_pretrained("")
    with pytest.raises(TypeError, match="callback_on_step_end"):
        images(pipeline, callback_on_step_end=lambda pipe, step, timestep, values: values["latents"])


def test_masks(pipeline):
    from oxidiff import StableDiffusionInpaintPipeline

    inpaint = StableDiffusionInpaintPipeline.from_pipe(pipeline)
    inpaint.set_progress_bar_config(disable=True)
    random = numpy.random.default_rng(0)
    picture = Image.fromarray(random.integers(0, 255, (64, 64, 3), numpy.uint8))
    hard = Image.fromarray(random.random((90, 90)) > 0.5)
    assert hard.mode == "1"

    def painted(mask):
        return images(inpaint, image=picture, mask_image=mask, strength=1.0, height=64, width=64)

    # Pillow resizes masks of one bit without a filter.
    by_hand = hard.resize((64, 64), Image.Resampling.NEAREST).convert("L")
    assert largest_difference(painted(hard), painted(by_hand)) == 0
    assert largest_difference(painted(hard.convert("P")), painted(by_hand)) == 0
    assert largest_difference(painted(hard.convert("L")), painted(by_hand)) > 1e-3
    values = numpy.asarray(by_hand, numpy.float32)[None] / 255
    assert values.shape == (1, 64, 64)
    assert largest_difference(painted(values), painted(by_hand)) == 0
    with pytest.raises(NotImplementedError, match="mode"):
        images(inpaint, ["a", "b"], image=[picture] * 2, mask_image=[hard, hard.convert("L")], height=64, width=64)
    with pytest.raises(TypeError, match="mask_image"):
        painted([hard, values[0]])


def test_methods_that_the_library_would_not_call_cannot_be_replaced(pipeline):
    class Own(EulerDiscreteScheduler):
        def step(self, *args, **kwargs):
            return super().step(*args, **kwargs)

    own = Own.from_config(pipeline.scheduler.config)
    assert isinstance(own, EulerDiscreteScheduler)
    for replace in (
        lambda: setattr(pipeline.scheduler, "step", None),
        lambda: setattr(pipeline.unet, "forward", None),
        lambda: setattr(pipeline.vae, "decode", None),
        lambda: setattr(pipeline, "scheduler", Own(**{})),
        lambda: StableDiffusionPipeline(**{**pipeline.components, "scheduler": Own()}),
    ):
        with pytest.raises(NotImplementedError, match="call it"):
            replace()


def test_one_side_without_the_other(pipeline, caplog):
    with caplog.at_level("WARNING", logger="oxidiff"):
        assert images(pipeline, width=32).shape == images(pipeline).shape
    assert "`width` is ignored" in caplog.text


def test_copies_keep_what_the_program_has_set(pipeline):
    for original in (pipeline, pipeline.unet, pipeline.scheduler):
        original.note = "of the program"
        assert copy.copy(original).note == copy.deepcopy(original).note == "of the program"


@pytest.mark.parametrize("kind", ["float16", "float64", "uint8"])
def test_masks_of_every_type(pipeline, kind):
    from oxidiff import StableDiffusionInpaintPipeline

    inpaint = StableDiffusionInpaintPipeline.from_pipe(pipeline)
    inpaint.set_progress_bar_config(disable=True)
    picture = Image.new("RGB", (64, 64), "red")
    mask = numpy.zeros((64, 64), numpy.float32)
    mask[:, 20:] = 1

    def painted(mask):
        return images(inpaint, image=picture, mask_image=mask, height=64, width=64)

    assert largest_difference(painted(mask.astype(kind)), painted(mask)) == 0
    mask[3, 3] = numpy.nan
    with pytest.raises(ValueError, match="mask_image"):
        painted(mask)


def test_parts_that_a_pipeline_needs(stable_diffusion):
    pipeline = StableDiffusionPipeline.from_pretrained(stable_diffusion, vae=None)
    with pytest.raises(ValueError, match="vae"):
        images(pipeline)
