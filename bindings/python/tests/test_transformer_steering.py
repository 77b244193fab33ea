"""Pictures and perturbed attention for pipelines with a transformer, from Python. What they compute is compared with diffusers in the
tests of the library."""

import json
import shutil

import numpy as np
import pytest
from conftest import FIXTURES
from PIL import Image

import oxidiff

SMALL = dict(height=16, width=16, num_inference_steps=1, output_type="np")
SHOWN = Image.new("RGB", (40, 30), (200, 40, 90))


def checkpoint(folder, fixture, parts, tokenizers):
    """A checkpoint with initial weights."""
    shutil.copytree(FIXTURES / fixture / "checkpoint", folder)
    for name, kind in parts.items():
        getattr(oxidiff, kind).from_config(json.loads((folder / name / "config.json").read_text())).save_pretrained(folder / name)
    for name, source in tokenizers.items():
        shutil.copytree(FIXTURES / source, folder / name)
    return folder


@pytest.fixture(scope="module")
def sd3(tmp_path_factory):
    parts = dict(transformer="SD3Transformer2DModel", text_encoder="CLIPTextModelWithProjection", text_encoder_2="CLIPTextModelWithProjection",
                 text_encoder_3="T5EncoderModel", vae="AutoencoderKL")
    xl = "stable_diffusion_xl/base"
    tokenizers = dict(tokenizer=f"{xl}/tokenizer", tokenizer_2=f"{xl}/tokenizer_2", tokenizer_3="t5/tokenizer")
    return checkpoint(tmp_path_factory.mktemp("sd3") / "checkpoint", "stable_diffusion_3", parts, tokenizers)


@pytest.fixture(scope="module")
def flux(tmp_path_factory):
    parts = dict(transformer="FluxTransformer2DModel", text_encoder="CLIPTextModel", text_encoder_2="T5EncoderModel", vae="AutoencoderKL")
    tokenizers = dict(tokenizer="stable_diffusion_xl/base/tokenizer", tokenizer_2="t5/tokenizer")
    return checkpoint(tmp_path_factory.mktemp("flux") / "checkpoint", "flux", parts, tokenizers)


def made(pipeline, **given):
    return np.asarray(pipeline("a", generator=oxidiff.Generator(3), **SMALL, **given).images)


def test_enable_pag_chooses_the_class_and_its_layers(sd3):
    plain = oxidiff.AutoPipelineForText2Image.from_pretrained(sd3)
    perturbed = oxidiff.AutoPipelineForText2Image.from_pretrained(sd3, enable_pag=True, pag_applied_layers="blocks.2")
    assert type(perturbed).__name__ == "StableDiffusion3PAGPipeline" and perturbed.pag_applied_layers == ["blocks.2"]
    changed = oxidiff.AutoPipelineForImage2Image.from_pipe(plain, enable_pag=True)
    assert type(changed).__name__ == "StableDiffusion3PAGImg2ImgPipeline"
    assert type(oxidiff.AutoPipelineForText2Image.from_pipe(plain, enable_pag=False)).__name__ == "StableDiffusion3Pipeline"
    perturbed.set_pag_applied_layers(["blocks.7"])
    with pytest.raises(ValueError, match="pag_applied_layers"):
        made(perturbed)
    made(perturbed, pag_applied_layers=["blocks.0"], pag_scale=1.0)
    with pytest.raises(NotImplementedError, match="pag_applied_layers"):
        plain.set_pag_applied_layers("blocks.1")
    with pytest.raises(NotImplementedError, match="StableDiffusion3PAGInpaintPipeline"):
        oxidiff.AutoPipelineForInpainting.from_pipe(plain, enable_pag=True)


def test_stable_diffusion_3_looks_at_a_picture(sd3, tmp_path):
    source = FIXTURES / "stable_diffusion_3_ip_adapter"
    encoder = tmp_path / "image_encoder"
    config = json.loads((source / "image_encoder" / "config.json").read_text())
    oxidiff.SiglipVisionModel.from_config(config).save_pretrained(encoder)
    shutil.copy(source / "image_encoder" / "preprocessor_config.json", encoder)
    pipeline = oxidiff.DiffusionPipeline.from_pretrained(sd3)
    pipeline.load_ip_adapter(source, weight_name="ip-adapter.bin", image_encoder_folder=str(encoder))
    assert isinstance(pipeline.image_encoder, oxidiff.SiglipVisionModel)
    pipeline.set_ip_adapter_scale(0.0)
    alone = made(pipeline, ip_adapter_image=SHOWN)
    pipeline.set_ip_adapter_scale(1.0)
    assert np.abs(made(pipeline, ip_adapter_image=SHOWN) - alone).max() > 0
    embeds = pipeline.prepare_ip_adapter_image_embeds(SHOWN, None, "cpu", 1, True)
    assert np.abs(made(pipeline, ip_adapter_image_embeds=embeds) - made(pipeline, ip_adapter_image=SHOWN)).max() < 1e-4
    with pytest.raises(ValueError, match="one number"):
        pipeline.set_ip_adapter_scale([0.1, 0.2])
    pipeline.unload_ip_adapter()
    with pytest.raises(ValueError, match="load_ip_adapter"):
        made(pipeline, ip_adapter_image=SHOWN)


def test_flux_looks_at_pictures(flux):
    pipeline = oxidiff.DiffusionPipeline.from_pretrained(flux)
    pipeline.load_ip_adapter(FIXTURES / "flux_ip_adapter", weight_name="xlabs.safetensors",
                             image_encoder_pretrained_model_name_or_path=str(FIXTURES / "ip_adapter" / "models" / "image_encoder"))
    pipeline.set_ip_adapter_scale(0.0)
    call = dict(max_sequence_length=4, ip_adapter_image=SHOWN)
    alone = made(pipeline, **call)
    # One for each of two blocks.
    pipeline.set_ip_adapter_scale([0.0, 0.9])
    assert np.abs(made(pipeline, **call) - alone).max() > 0
    made(pipeline, negative_prompt="b", true_cfg_scale=2.0, negative_ip_adapter_image=SHOWN, **call)
    with pytest.raises(ValueError, match="ip_adapter_scale"):
        pipeline.set_ip_adapter_scale([0.1] * 3)
    with pytest.raises(ValueError, match="ip_adapter_image"):
        made(pipeline, max_sequence_length=4)
