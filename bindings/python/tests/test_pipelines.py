"""Pipelines: calls with all their keyword arguments, their parts, and what they return."""

import copy
import inspect
import signal
import threading
import time

import numpy
import pytest
from conftest import FIXTURES, largest_difference
from PIL import Image

import oxidiff
from oxidiff import (
    AutoencoderKL,
    AutoPipelineForImage2Image,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    DiffusionPipeline,
    EulerDiscreteScheduler,
    Generator,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPipeline,
    UNet2DModel,
)


def images(pipeline, prompt="a red apple", **arguments):
    arguments = {"num_inference_steps": 2, "generator": Generator(0), "output_type": "np", **arguments}
    return pipeline(prompt, **arguments).images


def test_outputs(pipeline):
    output = pipeline("a red apple", num_inference_steps=2, generator=Generator(0))
    image = output.images[0]
    assert isinstance(image, Image.Image) and output[0][0] is image and output["images"][0] is image
    assert output.nsfw_content_detected is None
    pixels = images(pipeline)
    assert pixels.shape == (1, image.height, image.width, 3) and pixels.dtype == numpy.float32
    assert numpy.abs(numpy.asarray(image) / 255 - pixels[0]).max() < 0.5 / 255 + 1e-6
    tensor = images(pipeline, output_type="pt")
    assert largest_difference(tensor, pixels.transpose(0, 3, 1, 2)) == 0
    latents = images(pipeline, output_type="latent")
    assert latents.shape[1] == pipeline.vae.config.latent_channels
    pair = pipeline("a", num_inference_steps=1, return_dict=False)
    assert type(pair) is tuple and len(pair) == 2 and pair[1] is None


def test_latents_continue_where_they_are_given(pipeline):
    noise = oxidiff.randn(*images(pipeline, output_type="latent").shape, generator=Generator(0))
    assert largest_difference(images(pipeline, latents=noise), images(pipeline)) < 1e-5
    assert largest_difference(images(pipeline, latents=noise.numpy()), images(pipeline)) < 1e-5


def test_arguments(pipeline):
    two = images(pipeline, ["a red apple", "a house"], negative_prompt=["green", "red"], height=64, width=32, eta=0.5)
    assert two.shape == (2, 64, 32, 3)
    parameters = inspect.signature(StableDiffusionPipeline.__call__).parameters
    assert parameters["num_inference_steps"].default == 50 and parameters["guidance_scale"].default == 7.5
    assert "guidance_scale (float): How strongly" in StableDiffusionPipeline.__call__.__doc__
    with pytest.raises(TypeError, match="unexpected keyword argument 'no_such'"):
        pipeline("a", no_such=1)
    with pytest.raises(TypeError, match="positional"):
        pipeline("a", 64, 64)
    with pytest.raises(ValueError, match="ip_adapter_image"):
        pipeline("a", ip_adapter_image=Image.new("RGB", (8, 8)))
    with pytest.raises(ValueError, match="num_inference_steps"):
        pipeline("a", num_inference_steps=0)
    with pytest.raises(ValueError, match="guidance_scale"):
        pipeline("a", guidance_scale="much")


def test_images_go_in_as_pictures_arrays_and_tensors(pipeline):
    picture = Image.fromarray(numpy.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=numpy.uint8))
    variation = StableDiffusionImg2ImgPipeline.from_pipe(pipeline)
    variation.set_progress_bar_config(disable=True)
    assert variation.unet is pipeline.unet
    array = numpy.asarray(picture, dtype=numpy.float32)[None] / 255
    from_picture = images(variation, image=picture, strength=0.9)
    assert largest_difference(images(variation, image=[picture], strength=0.9), from_picture) == 0
    assert largest_difference(images(variation, image=array, strength=0.9), from_picture) < 1e-4
    tensor = oxidiff.Tensor(array).permute(0, 3, 1, 2)
    assert largest_difference(images(variation, image=tensor, strength=0.9), from_picture) < 1e-4
    with pytest.raises(TypeError, match="image"):
        images(variation, image=3)


def test_callbacks_see_and_replace_latents(pipeline):
    seen = []

    def callback(pipe, step, timestep, values):
        # PNDM takes the second timestep twice.
        assert pipe is pipeline and pipe.num_timesteps == 4
        seen.append((step, int(timestep), type(values["latents"])))
        return {"latents": values["latents"] * 0}

    latents = images(pipeline, num_inference_steps=3, callback_on_step_end=callback, output_type="latent")
    assert [step for step, *_ in seen] == list(range(len(seen))) and len(seen) >= 3
    assert numpy.abs(numpy.asarray(latents)).max() == 0
    with pytest.raises(NotImplementedError, match="prompt_embeds"):
        pipeline("a", callback_on_step_end=callback, callback_on_step_end_tensor_inputs=["prompt_embeds"])


def test_a_copy_has_parts_of_its_own(pipeline):
    copied = copy.copy(pipeline)
    kind = type(pipeline.scheduler)
    copied.scheduler = EulerDiscreteScheduler.from_config(pipeline.scheduler.config)
    assert type(pipeline.scheduler) is kind and type(copied.scheduler) is EulerDiscreteScheduler
    assert copied.unet is pipeline.unet
    before = images(pipeline)
    assert largest_difference(images(copied), before) > 1e-3
    assert largest_difference(images(pipeline), before) == 0


def test_callbacks_return_only_latents(pipeline):
    with pytest.raises(NotImplementedError, match="prompt_embeds"):
        pipeline("a", num_inference_steps=2, callback_on_step_end=lambda *_: {"prompt_embeds": None})


def test_latents_that_a_callback_changes_in_place(pipeline):
    torch = pytest.importorskip("torch")

    def callback(pipe, step, timestep, values):
        values["latents"].mul_(0.5)
        return answer(values)

    made = []
    for answer in (lambda values: {}, lambda values: values):
        generator = torch.Generator().manual_seed(0)
        made.append(images(pipeline, generator=generator, callback_on_step_end=callback))
    assert largest_difference(made[0], made[1]) == 0
    assert largest_difference(made[0], images(pipeline, generator=torch.Generator().manual_seed(0))) > 1e-3


def test_arguments_of_constructors(pipeline):
    parts = pipeline.components
    with pytest.raises(TypeError, match="no_such"):
        StableDiffusionPipeline(**parts, no_such=parts["unet"])
    with pytest.raises(TypeError, match="force_zeros_for_empty_prompt"):
        StableDiffusionPipeline(**parts, force_zeros_for_empty_prompt=False)
    made = StableDiffusionPipeline(**parts, requires_safety_checker=False)
    assert made.config.requires_safety_checker is False
    with pytest.raises((TypeError, ValueError), match="safety_checker"):
        StableDiffusionPipeline(**{**parts, "safety_checker": parts["unet"]})


def test_options_of_constructors_change_the_image():
    from oxidiff import StableDiffusionXLPipeline

    loaded = DiffusionPipeline.from_pretrained(FIXTURES / "stable_diffusion_xl" / "base")
    loaded.set_progress_bar_config(disable=True)
    changed = StableDiffusionXLPipeline(**loaded.components, force_zeros_for_empty_prompt=False)
    changed.set_progress_bar_config(disable=True)
    assert loaded.config.force_zeros_for_empty_prompt and not changed.config.force_zeros_for_empty_prompt
    assert largest_difference(images(loaded), images(changed)) > 1e-3
    assert largest_difference(images(loaded, negative_prompt="blue"), images(changed, negative_prompt="blue")) == 0
    with_none = StableDiffusionXLPipeline(**loaded.components, force_zeros_for_empty_prompt=None, add_watermarker=False)
    with_none.set_progress_bar_config(disable=True)
    assert largest_difference(images(with_none), images(changed)) == 0
    with pytest.raises(NotImplementedError, match="add_watermarker"):
        StableDiffusionXLPipeline(**loaded.components, add_watermarker=True)


def test_pipelines_can_be_used_in_callbacks(pipeline):
    decoded = []

    def callback(pipe, step, timestep, values):
        assert pipe.config["_class_name"] == "StableDiffusionPipeline" and "PNDMScheduler" in repr(pipe)
        decoded.append(pipe.vae.decode(values["latents"] / pipe.vae.config.scaling_factor).sample)
        with pytest.raises(NotImplementedError, match="scheduler"):
            pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config)
        return {}

    pixels = images(pipeline, callback_on_step_end=callback)
    assert largest_difference((decoded[-1] / 2 + 0.5).clamp(0, 1), pixels.transpose(0, 3, 1, 2)) < 1e-5
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)


def test_threads_share_a_pipeline(pipeline):
    expected = [images(pipeline, generator=Generator(seed)) for seed in range(3)]
    made = {}
    threads = [threading.Thread(target=lambda seed=seed: made.update({seed: images(pipeline, generator=Generator(seed))}))
               for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(largest_difference(made[seed], expected[seed]) == 0 for seed in range(3))


def test_callbacks_interrupt(pipeline):
    steps = []

    def callback(pipe, step, timestep, values):
        steps.append(step)
        pipe._interrupt = step == 1
        return values

    images(pipeline, num_inference_steps=10, callback_on_step_end=callback)
    assert steps == [0, 1]
    images(pipeline, num_inference_steps=1)


def test_exceptions_of_callbacks_are_raised(pipeline):
    def callback(*_):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        images(pipeline, callback_on_step_end=callback)


def test_interrupts_stop_within_a_step(pipeline, cats):
    cat = DDPMPipeline.from_pretrained(cats)
    cat.set_progress_bar_config(disable=True)
    for call in (lambda: images(pipeline, num_inference_steps=500, num_images_per_prompt=4), lambda: cat(batch_size=64)):
        timer = threading.Timer(0.5, lambda: signal.raise_signal(signal.SIGINT))
        timer.start()
        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            call()
        # The whole run takes many times as long.
        assert time.monotonic() - start < 30
        timer.join()
    assert len(images(pipeline)) == 1


def test_other_threads_run_meanwhile(cats):
    # One call of a model, in which no Python code runs that could let other threads go on.
    model = UNet2DModel.from_pretrained(cats)
    sample = numpy.zeros((8, 3, 128, 128), dtype=numpy.float32)
    counted = []
    stop = threading.Event()

    def count():
        while not stop.wait(0.001):
            counted.append(1)

    thread = threading.Thread(target=count)
    thread.start()
    before = len(counted)
    model(sample, 2)
    during = len(counted) - before
    stop.set()
    thread.join()
    assert during > 5


def test_parts(pipeline):
    assert pipeline.scheduler is pipeline.scheduler
    assert set(pipeline.components) >= {"vae", "text_encoder", "tokenizer", "unet", "scheduler", "safety_checker"}
    before = images(pipeline)
    own = pipeline.scheduler
    pipeline.scheduler = EulerDiscreteScheduler.from_config(own.config)
    assert '"EulerDiscreteScheduler"' in repr(pipeline)
    assert largest_difference(images(pipeline), before) > 1e-3
    assert pipeline.scheduler.num_inference_steps is None and len(pipeline.scheduler.timesteps) == 2
    pipeline.scheduler = own
    assert largest_difference(images(pipeline), before) == 0
    with pytest.raises(TypeError):
        pipeline.unet = "a text"
    with pytest.raises(ValueError):
        pipeline.unet = UNet2DModel(sample_size=8, block_out_channels=(8, 8), norm_num_groups=2,
                                    down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2)
    pipeline.safety_checker = None
    assert pipeline.safety_checker is None


def test_changes_of_parts_count(pipeline):
    pipeline.vae.enable_tiling()
    pipeline.enable_vae_slicing()
    assert largest_difference(images(pipeline), images(pipeline)) == 0
    pipeline.to(oxidiff.bfloat16)
    assert oxidiff.bfloat16 == pipeline.dtype == pipeline.unet.dtype
    assert oxidiff.bfloat16 == images(pipeline, output_type="latent").dtype


def test_pipelines_of_parts(pipeline, cats):
    again = StableDiffusionPipeline(**pipeline.components)
    again.set_progress_bar_config(disable=True)
    assert largest_difference(images(again), images(pipeline)) == 0
    cat = DDPMPipeline(unet=UNet2DModel.from_pretrained(cats), scheduler=DDPMScheduler.from_pretrained(cats))
    cat.set_progress_bar_config(disable=True)
    assert len(cat(batch_size=2, num_inference_steps=3).images) == 2


def test_loading_with_parts(stable_diffusion):
    scheduler = DDIMScheduler.from_pretrained(stable_diffusion, subfolder="scheduler")
    vae = AutoencoderKL.from_pretrained(stable_diffusion, subfolder="vae")
    pipeline = DiffusionPipeline.from_pretrained(stable_diffusion, scheduler=scheduler, vae=vae, safety_checker=None)
    assert pipeline.scheduler is scheduler and pipeline.vae is vae
    assert type(StableDiffusionImg2ImgPipeline.from_pretrained(stable_diffusion)) is StableDiffusionImg2ImgPipeline
    assert type(AutoPipelineForImage2Image.from_pipe(pipeline)) is StableDiffusionImg2ImgPipeline
    assert type(AutoPipelineForImage2Image.from_pretrained(stable_diffusion)) is StableDiffusionImg2ImgPipeline


@pytest.mark.parametrize("dtype", ["float16", "torch.float16", numpy.float16, numpy.dtype("float16"), oxidiff.float16])
def test_types(stable_diffusion, dtype):
    for name in ("torch_dtype", "dtype", "mindspore_dtype"):
        assert DiffusionPipeline.from_pretrained(stable_diffusion, **{name: dtype}).dtype == oxidiff.float16


def test_saving(pipeline, tmp_path):
    pipeline.save_pretrained(tmp_path)
    again = DiffusionPipeline.from_pretrained(tmp_path)
    again.set_progress_bar_config(disable=True)
    assert largest_difference(images(again), images(pipeline)) == 0


def test_what_is_not_there_says_so(pipeline):
    for call in (lambda: pipeline.to("mps"), lambda: pipeline.fuse_qkv_projections(),
                 lambda: pipeline.tokenizer("a"), lambda: setattr(pipeline, "_guidance_scale", 0.0)):
        with pytest.raises(NotImplementedError):
            call()
    with pytest.raises(AttributeError, match="no_such"):
        pipeline.no_such
    pipeline.enable_attention_slicing()


def test_memory_is_limited(copied):
    try:
        with pytest.raises(MemoryError, match="available"):
            pipeline = DiffusionPipeline.from_pretrained(copied, max_memory={"cpu": "1MB"})
            pipeline("a", num_inference_steps=1, height=8192, width=8192)
    finally:
        oxidiff.set_max_memory(None)
    DiffusionPipeline.from_pretrained(copied)("a", num_inference_steps=1)
    for limit in (0, "many"):
        with pytest.raises(ValueError, match="12GiB"):
            oxidiff.set_max_memory(limit)
    with pytest.raises(TypeError, match="limit"):
        oxidiff.set_max_memory(1.5)


def test_files(copied, caplog):
    DiffusionPipeline.from_pretrained(copied, no_such=1)
    assert "no_such" in caplog.text and caplog.records[0].name == "oxidiff"
    (copied / "unet" / "config.json").write_text("{")
    with pytest.raises(OSError, match="config.json"):
        DiffusionPipeline.from_pretrained(copied)
    (copied / "model_index.json").unlink()
    with pytest.raises(EnvironmentError):
        DiffusionPipeline.from_pretrained(copied)
    with pytest.raises(NotImplementedError, match="device_map"):
        DiffusionPipeline.from_pretrained(copied, device_map="balanced")


def test_messages_of_the_library_are_logged(copied, caplog):
    (copied / "generation_config.json").write_text('{"no_such_field": 1}')
    DiffusionPipeline.from_pretrained(copied)
    assert any("no_such_field" in record.getMessage() and record.levelname == "WARNING" for record in caplog.records)


def test_torch(pipeline):
    torch = pytest.importorskip("torch")
    ours = images(pipeline)
    generator = torch.Generator().manual_seed(0)
    assert largest_difference(images(pipeline, generator=generator), ours) == 0
    latents = images(pipeline, generator=torch.Generator().manual_seed(0), output_type="latent")
    assert isinstance(latents, torch.Tensor)
    assert pipeline.dtype is pipeline.unet.dtype is torch.float32 and pipeline.device == torch.device("cpu")
    tensor = images(pipeline, output_type="pt")
    assert isinstance(tensor, torch.Tensor) and tensor.shape[1] == 3


def test_notebooks(pipeline):
    assert "<strong>StableDiffusionPipeline</strong>" in pipeline._repr_html_()


def test_progress(stable_diffusion, capsys):
    pytest.importorskip("tqdm")
    pipeline = DiffusionPipeline.from_pretrained(stable_diffusion)
    images(pipeline, num_inference_steps=3)
    assert "3/3" in capsys.readouterr().err
    pipeline.set_progress_bar_config(disable=True)
    images(pipeline, num_inference_steps=3)
    assert capsys.readouterr().err == ""


def test_weights_are_rounded_while_they_are_loaded(emoji):
    def image(config):
        return images(DiffusionPipeline.from_pretrained(emoji, quantization_config=config))

    plain, rounded = image(None), image(oxidiff.QuantizationConfig("q8_0"))
    assert 0 < largest_difference(rounded, plain) < 0.1
    text_encoder = oxidiff.QuantizationConfig("q4_0", components_to_quantize=["text_encoder"])
    assert largest_difference(image(text_encoder), rounded) > 0
    everything_stays = oxidiff.QuantizationConfig("q8_0", modules_to_not_convert=["."])
    assert largest_difference(image(everything_stays), plain) == 0
    with pytest.raises(ValueError, match="`q9` is none of Q8_0"):
        image(oxidiff.QuantizationConfig("q9"))
    with pytest.raises(TypeError, match="must be a QuantizationConfig of this package, not str"):
        image("q8_0")
    with pytest.raises(ValueError, match="`unet_9`"):
        image(oxidiff.QuantizationConfig("q8_0", components_to_quantize=["unet_9"]))
