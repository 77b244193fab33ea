"""Pictures and perturbed attention for pipelines with a transformer, from Python. What they compute is compared with diffusers in the
tests of the library."""

import numpy as np
import pytest
from conftest import FIXTURES, with_initial_weights
from PIL import Image

import oxidiff

SMALL = dict(height=16, width=16, num_inference_steps=1, output_type="np")
SHOWN = Image.new("RGB", (40, 30), (200, 40, 90))


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


@pytest.mark.parametrize("fixture, expected, parts, tokenizers", [
    ("pixart", "PixArtSigmaPAGPipeline",
     dict(transformer="PixArtTransformer2DModel", text_encoder="T5EncoderModel", vae="AutoencoderKL"), dict(tokenizer="t5/tokenizer")),
    ("sana", "SanaPAGPipeline",
     dict(transformer="SanaTransformer2DModel", text_encoder="Gemma2Model", vae="AutoencoderDC"), dict(tokenizer="gemma2/tokenizer")),
    ("hunyuan_dit", "HunyuanDiTPAGPipeline",
     dict(transformer="HunyuanDiT2DModel", text_encoder="BertModel", text_encoder_2="T5EncoderModel", vae="AutoencoderKL"),
     dict(tokenizer_2="t5/tokenizer")),
])
def test_enable_pag_of_other_families(fixture, expected, parts, tokenizers, tmp_path):
    folder = with_initial_weights(tmp_path / "checkpoint", fixture, parts, tokenizers)
    # The fixture is of PixArt-Alpha, whose transformer is also told the size of the image.
    index, config = folder / "model_index.json", folder / "transformer" / "config.json"
    index.write_text(index.read_text().replace("PixArtAlpha", "PixArtSigma"))
    config.write_text(config.read_text().replace('"use_additional_conditions": null', '"use_additional_conditions": false'))
    pipeline = oxidiff.AutoPipelineForText2Image.from_pretrained(folder, enable_pag=True, pag_applied_layers="blocks.1")
    assert type(pipeline).__name__ == expected and pipeline.pag_applied_layers == ["blocks.1"]


def test_stable_diffusion_3_looks_at_a_picture(sd3, sd3_image_encoder):
    source = FIXTURES / "stable_diffusion_3_ip_adapter"
    pipeline = oxidiff.DiffusionPipeline.from_pretrained(sd3)
    pipeline.load_ip_adapter(source, weight_name="ip-adapter.bin", image_encoder_folder=str(sd3_image_encoder))
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
