"""What pipelines tell about themselves. The values are those of diffusers for the same checkpoints."""

import numpy
import pytest
from PIL import Image

from oxidiff import DiffusionPipeline, FluxInpaintPipeline, Generator, StableDiffusionInpaintPipeline, VaeImageProcessor


@pytest.fixture(scope="module")
def pipelines(flux, sd3, stable_diffusion):
    return {name: DiffusionPipeline.from_pretrained(folder)
            for name, folder in (("flux", flux), ("sd3", sd3), ("stable_diffusion", stable_diffusion))}


def test_attributes_follow_from_class_and_parts(pipelines):
    flux, sd3, sd1 = pipelines["flux"], pipelines["sd3"], pipelines["stable_diffusion"]
    assert (flux.default_sample_size, flux.tokenizer_max_length) == (128, flux.text_encoder.config.max_position_embeddings)
    assert sd3.default_sample_size == sd3.transformer.config.sample_size
    assert sd3.patch_size == sd3.transformer.config.patch_size
    assert flux.model_cpu_offload_seq == "text_encoder->text_encoder_2->image_encoder->transformer->vae"
    assert sd3.model_cpu_offload_seq == "text_encoder->text_encoder_2->text_encoder_3->image_encoder->transformer->vae"
    assert sd1.model_cpu_offload_seq == "text_encoder->image_encoder->unet->vae"
    assert flux.image_processor.config.vae_scale_factor == 2 * flux.vae_scale_factor
    assert sd1.image_processor.config.vae_scale_factor == sd1.vae_scale_factor
    for pipeline, name in ((sd1, "default_sample_size"), (flux, "patch_size"), (sd3, "latent_channels"), (flux, "mask_processor"),
                           (flux, "attention_kwargs"), (sd3, "cross_attention_kwargs"), (flux, "guidance_rescale")):
        assert not hasattr(pipeline, name)
    with pytest.raises(NotImplementedError, match="follows from its parts"):
        flux.tokenizer_max_length = 12


def test_attributes_tell_the_last_call(pipelines):
    pipeline = pipelines["stable_diffusion"]
    pipeline.set_progress_bar_config(disable=True)
    steps = []

    def note(pipeline, step, timestep, values):
        steps.append(pipeline.guidance_rescale)
        return values

    pipeline("apple", num_inference_steps=2, guidance_rescale=0.3, cross_attention_kwargs={"scale": 0.5}, output_type="latent",
             generator=Generator(0), callback_on_step_end=note, callback_on_step_end_tensor_inputs=pipeline._callback_tensor_inputs)
    assert set(steps) == {0.3} and pipeline.guidance_rescale == 0.3
    assert pipeline.cross_attention_kwargs == {"scale": 0.5} and pipeline.lora_scale == 0.5


def test_masks_are_processed(pipelines):
    mask = Image.new("L", (48, 32))
    mask.paste(255, (20, 8, 30, 16))
    flux = FluxInpaintPipeline.from_pipe(pipelines["flux"])
    plain = StableDiffusionInpaintPipeline.from_pipe(pipelines["stable_diffusion"])
    assert flux.mask_processor.config.vae_scale_factor == 2 * plain.mask_processor.config.vae_scale_factor
    blurred = flux.mask_processor.blur(mask, blur_factor=4)
    assert 0 < numpy.asarray(blurred).max() < 255
    values = numpy.asarray(plain.mask_processor.preprocess(mask))
    assert values.shape == (1, 1, 32, 48) and set(numpy.unique(values)) == {0.0, 1.0}
    assert plain.mask_processor.config.do_binarize


def test_regions_of_masks(pipelines):
    mask = Image.new("L", (48, 32))
    mask.paste(255, (20, 8, 30, 16))
    for width, height, pad, region in ((64, 64, 0, (20, 7, 30, 17)), (32, 64, 4, (16, 0, 34, 32)), (64, 16, 20, (0, 0, 48, 32)),
                                       (128, 32, 2, (0, 6, 48, 18))):
        assert VaeImageProcessor.get_crop_region(mask, width, height, pad) == region
    with pytest.raises(ValueError, match="marks nothing"):
        VaeImageProcessor.get_crop_region(Image.new("L", (8, 8)), 8, 8)


def test_pictures_are_resized_and_overlaid():
    processor = VaeImageProcessor()
    picture = Image.new("RGB", (40, 20), (200, 10, 10))
    for mode, size, corner in (("default", (16, 16), (200, 10, 10)), ("crop", (16, 16), (200, 10, 10)), ("fill", (16, 16), (200, 10, 10))):
        resized = processor.resize(picture, 16, 16, mode)
        assert resized.size == size and resized.getpixel((0, 0)) == corner
    mask = Image.new("L", (40, 20))
    mask.paste(255, (20, 0, 40, 20))
    green = Image.new("RGB", (40, 20), (0, 250, 0))
    made = processor.apply_overlay(mask, picture, green)
    assert made.getpixel((5, 5)) == (200, 10, 10) and made.getpixel((30, 5)) == (0, 250, 0)
    values = processor.pil_to_numpy([picture])
    assert values.shape == (1, 20, 40, 3) and processor.numpy_to_pil(values)[0].getpixel((0, 0)) == (200, 10, 10)
    assert tuple(processor.numpy_to_pt(values).shape) == (1, 3, 20, 40)
    assert processor.get_default_height_width(picture) == (16, 40)
    with pytest.raises(NotImplementedError, match="Pillow"):
        processor.resize(values, 16, 16)


def test_attributes_that_the_library_would_not_read(pipelines):
    for name in ("system_prompt", "prompt_template_encode", "default_sample_size", "tokenizer_max_length"):
        with pytest.raises(NotImplementedError, match=f"`{name}`"):
            setattr(pipelines["sd3"], name, 8)
    pipelines["sd3"].my_own = 8
    assert pipelines["sd3"].my_own == 8


def test_devices_of_parts(pipelines):
    assert pipelines["flux"].hf_device_map is None
    pipelines["flux"].reset_device_map()
