"""LoRAs and learned words, compared with what Python diffusers gave: see `tests/fixtures/generate_formats.py`."""

import json

import pytest
from conftest import FIXTURES, largest_difference
from recorded import load

import oxidiff
from oxidiff import DDPMPipeline, DiffusionPipeline, Generator

LORA = FIXTURES / "formats" / "lora"
WORDS = FIXTURES / "formats" / "textual_inversion"


@pytest.fixture
def plain():
    pipeline = DiffusionPipeline.from_pretrained(FIXTURES / "pipelines" / "sd1")
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def image(pipeline, prompt="a red apple", **more):
    images = pipeline(prompt, negative_prompt="dog", num_inference_steps=2, height=48, width=64, output_type="np",
                      generator=Generator(4), **more).images
    return images[:, ::3, ::3]


def noise(pipeline, text):
    """A prediction of the UNet, as the recordings have it."""
    sample = oxidiff.randn(2, 4, 6, 8, generator=Generator(3)).numpy()
    return pipeline.unet(sample, 300, text).sample


def test_loras(plain):
    recorded = load(LORA / "outputs.safetensors")
    before = image(plain)
    plain.load_lora_weights(LORA / "kohya.safetensors", adapter_name="first")
    assert largest_difference(image(plain), recorded["kohya.image"]) < 1e-3
    assert largest_difference(image(plain, cross_attention_kwargs={"scale": 0.4}), recorded["scaled.image"]) < 1e-3
    plain.load_lora_weights(LORA / "metadata.safetensors", adapter_name="second")
    assert plain.get_active_adapters() == ["second"]
    plain.set_adapters(["first", "second"], [0.7, -0.5])
    both = image(plain)
    assert largest_difference(both, recorded["both.image"]) < 1e-3
    assert plain.get_list_adapters() == {"unet": ["first", "second"], "text_encoder": ["first", "second"]}
    plain.fuse_lora(lora_scale=1.0)
    assert plain.num_fused_loras == 2 and plain.fused_loras == {"first", "second"}
    assert largest_difference(image(plain), both) < 1e-3
    plain.unfuse_lora()
    plain.disable_lora()
    assert largest_difference(image(plain), before) < 1e-5
    plain.enable_lora()
    plain.delete_adapters("second")
    plain.unload_lora_weights()
    assert largest_difference(image(plain), before) < 1e-5


def test_weights_of_blocks(plain):
    plain.load_lora_weights(LORA / "kohya.safetensors", adapter_name="x")
    before = image(plain)
    plain.set_adapters("x", [{"unet": {"down": 0.3, "mid": 0.5, "up": 1.4}}])
    changed = image(plain)
    assert largest_difference(changed, before) > 1e-4
    plain.set_adapters("x", [{"unet": {"down": {"block_0": 0.3, "block_1": [0.3]}, "mid": [0.5], "up": 1.4}}])
    assert largest_difference(image(plain), changed) < 1e-6
    with pytest.raises(ValueError, match="up_blocks.0"):
        plain.set_adapters("x", [{"unet": {"up": {"block_0": 0.5}}}])
    with pytest.raises(ValueError, match="adapter_weights"):
        plain.set_adapters("x", [{"unet": {"middle": 0.5}}])


@pytest.mark.parametrize("kind", ["locon", "loha", "lokr", "dora", "peft_dora"])
def test_kinds_of_adapters(plain, kind):
    before = image(plain)
    plain.load_lora_weights(FIXTURES / "adapters" / f"{kind}.safetensors")
    assert largest_difference(image(plain), before) > 1e-4
    plain.unload_lora_weights()
    assert largest_difference(image(plain), before) < 1e-6


def test_arguments_that_would_change_what_is_loaded(plain):
    file = LORA / "kohya.safetensors"
    for load_with in (
        lambda: plain.load_lora_weights(file, hotswap=True),
        lambda: plain.load_textual_inversion(WORDS, text_encoder=plain.text_encoder),
        lambda: oxidiff.AutoPipelineForText2Image.from_pipe(plain, enable_pag=True),
        lambda: oxidiff.AutoPipelineForText2Image.from_pretrained(FIXTURES / "pipelines" / "sd1", enable_pag=True),
    ):
        with pytest.raises(NotImplementedError, match="hotswap|text_encoder|enable_pag"):
            load_with()
    plain.load_lora_weights(file, hotswap=False)


def test_the_models_of_a_pipeline_have_its_loras(plain):
    text = plain.text_encoder([[0] * 24, [1] * 24]).last_hidden_state
    before = noise(plain, text)
    unet = plain.unet
    plain.load_lora_weights(LORA, weight_name="peft.safetensors")
    assert plain.unet is unet
    assert largest_difference(noise(plain, text), before) > 1e-3
    plain.unload_lora_weights()
    assert largest_difference(noise(plain, text), before) < 1e-5


def test_learned_words(plain):
    plain.load_textual_inversion(WORDS)
    plain.load_textual_inversion(WORDS / "style.safetensors")
    plain.load_textual_inversion(WORDS / "a1111.pt", token="Mine")
    prompt = json.loads((WORDS / "prompts.json").read_text())["prompts"][0]
    assert largest_difference(image(plain, prompt), load(WORDS / "outputs.safetensors")["image"]) < 1e-3


def test_refusals(plain, cats):
    with pytest.raises(OSError):
        plain.load_lora_weights("no/such/file.safetensors")
    with pytest.raises(ValueError, match="no_such"):
        plain.set_adapters("no_such")
    with pytest.raises(NotImplementedError, match="dictionary"):
        plain.load_lora_weights({})
    with pytest.raises(NotImplementedError, match="LoRA"):
        DDPMPipeline.from_pretrained(cats).load_lora_weights(LORA / "kohya.safetensors")


def test_names_of_no_adapter_have_no_effect(plain, caplog):
    plain.load_lora_weights(LORA / "kohya.safetensors", adapter_name="first")
    before = image(plain)
    plain.delete_adapters("other")
    plain.fuse_lora(adapter_names=["other"])
    assert plain.num_fused_loras == 0 and "other" in caplog.text
    assert plain.get_list_adapters()["unet"] == ["first"] and largest_difference(image(plain), before) == 0
    plain.fuse_lora(adapter_names=["other", "first"])
    assert plain.fused_loras == {"first"}
    plain.unfuse_lora()
    plain.delete_adapters(["first", "other"])
    assert plain.get_active_adapters() == []
