"""IP-Adapters and FreeU, compared with what Python diffusers gave: see `tests/fixtures/generate_ip_adapter.py`."""

import json

import numpy as np
import pytest
from conftest import FIXTURES, largest_difference
from PIL import Image
from recorded import load

import oxidiff
from oxidiff import (
    DDPMPipeline,
    DiffusionPipeline,
    Generator,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from oxidiff.image_processor import IPAdapterMaskProcessor

FOLDER = FIXTURES / "ip_adapter"
CALLS = {call["name"]: call for call in json.loads((FOLDER / "calls.json").read_text())}
FILES = json.loads((FOLDER / "adapters.json").read_text())
COMPARED = ["plain_style", "light", "plus", "full_face", "two_adapters", "several_images_each", "prepared", "free", "each_twice",
            "mask", "masks_of_adapters", "masks_of_images", "mask_of_one_adapter", "img2img_two", "face_id", "xl_plus", "xl_masks"]


def picture(size):
    """The image that the generator of the fixtures draws."""
    y, x, c = np.meshgrid(np.arange(size[1]), np.arange(size[0]), np.arange(3), indexing="ij")
    noise = ((x * 73 + y * 151 + c * 57 + x * y % 257 + 1) * 2654435761 % 2**32) >> 24
    smooth = (x * 5 + y * 3 + c * 40) % 256
    return Image.fromarray(np.where((x // 7 + y // 5) % 3 == 0, noise, smooth).astype(np.uint8))


def blob(width, height, left, top, right, bottom):
    y, x = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    inside = (x >= left) & (x < right) & (y >= top) & (y < bottom)
    return Image.fromarray(np.where(inside, np.where((x + y) % 3 == 0, 128, 255), 0).astype(np.uint8))


def values(shape, low):
    steps = np.arange(np.prod(shape), dtype=np.float32) * 37 % 256 / 256
    return (low + (1 - low) * steps).reshape(shape).astype(np.float32)


def argument(given):
    if isinstance(given, list):
        return [argument(one) for one in given]
    if not isinstance(given, dict):
        return given
    if "picture" in given:
        sizes = given["picture"]
        if not isinstance(sizes[0], list):
            return picture(sizes)
        made = [picture(size) for size in sizes]
        return [image.transpose(Image.FLIP_LEFT_RIGHT) if number % 2 else image for number, image in enumerate(made)]
    if "values" in given:
        return values(given["values"], given["low"])
    if "faces" in given:
        faces = values([1, *given["faces"]], -1.0)
        return np.concatenate([np.zeros_like(faces), faces]) if given["guidance"] else faces
    for kind in ("masks", "masks_of_images"):
        if kind in given:
            drawn = [blob(*one) for one in given[kind]]
            masks = IPAdapterMaskProcessor().preprocess(drawn, given.get("height"), given.get("width"))
            masks = np.asarray(masks)
            return masks if kind == "masks" else masks.transpose(1, 0, 2, 3)
    return {name: argument(value) for name, value in given.items()}


def load_adapters(pipeline, names):
    files = [FILES[name]["file"].rsplit("/", 1) for name in names]
    pipeline.load_ip_adapter(FOLDER, subfolder=[folder for folder, _ in files], weight_name=[file for _, file in files],
                             image_encoder_folder="models/image_encoder")


def made_for(call):
    if call["checkpoint"] == "xl":
        pipeline = DiffusionPipeline.from_pretrained(FIXTURES / "stable_diffusion_xl" / "base")
    else:
        pipeline = StableDiffusionPipeline.from_pretrained(FIXTURES / "pipelines" / "sd1")
        unets = {"small": "controlnet/unet", "narrow": "pipelines/unets/linear_heads"}
        if call["checkpoint"] in unets:
            pipeline.unet = UNet2DConditionModel.from_pretrained(FIXTURES / unets[call["checkpoint"]])
    if call["pipeline"] == "img2img":
        pipeline = StableDiffusionImg2ImgPipeline(**pipeline.components)
    pipeline.set_progress_bar_config(disable=True)
    load_adapters(pipeline, call["adapters"])
    if "scale" in call:
        pipeline.set_ip_adapter_scale(call["scale"])
    return pipeline


@pytest.mark.parametrize("name", COMPARED)
def test_images(name):
    call = CALLS[name]
    pipeline = made_for(call)
    arguments = {key: argument(value) for key, value in call["arguments"].items()}
    arguments["generator"] = Generator(arguments["generator"])
    embeds = arguments.get("ip_adapter_image_embeds")
    if isinstance(embeds, dict):
        arguments["ip_adapter_image_embeds"] = pipeline.prepare_ip_adapter_image_embeds(embeds["prepared"], None, "cpu", 1, True)
    images = pipeline(**arguments, output_type="np").images
    assert largest_difference(images[:, ::8, ::8], load(FOLDER / "calls.safetensors")[f"{name}.image"]) < 1e-3


def image(pipeline, **more):
    return pipeline("dog", num_inference_steps=1, height=32, width=32, output_type="np", generator=Generator(1), **more).images


def test_adapters_come_and_go():
    pipeline = StableDiffusionPipeline.from_pretrained(FIXTURES / "pipelines" / "sd1")
    pipeline.unet = UNet2DConditionModel.from_pretrained(FIXTURES / "controlnet" / "unet")
    pipeline.set_progress_bar_config(disable=True)
    before = image(pipeline)
    assert pipeline.image_encoder is None
    load_adapters(pipeline, ["light"])
    assert type(pipeline.image_encoder).__name__ == "CLIPVisionModelWithProjection"
    shown = dict(ip_adapter_image=picture([50, 60]))
    assert largest_difference(image(pipeline, **shown), before) > 0.001
    # The adapter belongs to the UNet, as in diffusers.
    embeds = pipeline.prepare_ip_adapter_image_embeds(picture([50, 60]), None, "cpu", 1, False)
    sample, text = oxidiff.zeros(1, 4, 8, 8), oxidiff.zeros(1, 5, 24)
    assert pipeline.unet(sample, 10, text, added_cond_kwargs={"image_embeds": embeds}).sample.shape == (1, 4, 8, 8)
    with pytest.raises(ValueError, match="image_embeds"):
        pipeline.unet(sample, 10, text)
    with pytest.raises(ValueError, match="ip_adapter_image"):
        image(pipeline)
    pipeline.set_ip_adapter_scale(0.0)
    assert largest_difference(image(pipeline, **shown), before) == 0
    pipeline.unload_ip_adapter()
    assert pipeline.image_encoder is None
    assert largest_difference(image(pipeline), before) == 0
    with pytest.raises(ValueError, match="load_ip_adapter"):
        image(pipeline, **shown)


def test_what_does_not_fit():
    pipeline = StableDiffusionPipeline.from_pretrained(FIXTURES / "pipelines" / "sd1")
    with pytest.raises(OSError, match="another model"):
        load_adapters(pipeline, ["light"])
    with pytest.raises(ValueError, match="same length"):
        pipeline.load_ip_adapter(FOLDER, subfolder=["models", "models"], weight_name="x.bin")
    unconditional = DDPMPipeline.from_pretrained(FIXTURES / "unconditional" / "pipelines" / "ddpm")
    with pytest.raises(NotImplementedError, match="takes no IP-Adapter"):
        unconditional.load_ip_adapter(FOLDER, subfolder="models", weight_name="ip-adapter_sd15.safetensors")
    with pytest.raises(NotImplementedError, match="ip_adapter_masks"):
        image(pipeline, cross_attention_kwargs={"gligen": 1})


def test_freeu():
    calls = json.loads((FIXTURES / "freeu" / "calls.json").read_text())
    recorded = load(FIXTURES / "freeu" / "calls.safetensors")
    for number in (0, 1, 5):
        call = calls[number]
        pipeline = DiffusionPipeline.from_pretrained(FIXTURES / call["checkpoint"])
        pipeline.set_progress_bar_config(disable=True)
        if call["freeu"]:
            pipeline.enable_freeu(*call["freeu"])
        else:
            pipeline.enable_freeu(s1=0.9, s2=0.2, b1=1.5, b2=1.6)
            pipeline.disable_freeu()
        images = pipeline("a red apple", num_inference_steps=3, height=call["height"], width=call["width"],
                          generator=Generator(number), output_type="np").images
        assert largest_difference(images[:, ::3, ::3], recorded[str(number)]) < 1e-3
