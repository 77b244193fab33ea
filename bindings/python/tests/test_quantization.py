"""The configurations with which diffusers quantises, and GGUF files."""

import shutil

import numpy as np
import pytest
from conftest import largest_difference
from test_pipelines import images
from test_transformer_steering import made

import oxidiff
from oxidiff import AutoencoderKL, FluxPipeline, FluxTransformer2DModel, GGUFQuantizationConfig, QuantizationConfig
from oxidiff.quantizers import PipelineQuantizationConfig


@pytest.fixture(scope="module")
def files(flux, flux_gguf):
    """The transformer of FLUX.1 as a GGUF file, and the same weights as they were."""
    return flux_gguf, flux / "transformer" / "diffusion_pytorch_model.safetensors"


def loaded(file, checkpoint, **given):
    return FluxTransformer2DModel.from_single_file(file, config=str(checkpoint), subfolder="transformer", **given)


def test_a_gguf_file_with_and_without_its_config(flux, files):
    def image(transformer):
        return made(oxidiff.FluxPipeline.from_pretrained(flux, transformer=transformer), max_sequence_length=4)

    gguf, weights = files
    plain, without = image(loaded(weights, flux)), image(loaded(gguf, flux))
    assert 0 < largest_difference(plain, without) < 0.05
    assert largest_difference(image(loaded(gguf, flux, quantization_config=GGUFQuantizationConfig())), without) == 0


@pytest.mark.parametrize("given, expected", [
    (dict(), "float32"),
    (dict(compute_dtype="bfloat16"), "bfloat16"),
    (dict(torch_dtype="bfloat16"), "bfloat16"),
    (dict(compute_dtype=oxidiff.bfloat16, dtype="bfloat16"), "bfloat16"),
    (dict(compute_dtype=np.float16, torch_dtype="auto"), "float16"),
])
def test_the_type_to_compute_in(flux, files, given, expected):
    config = GGUFQuantizationConfig(compute_dtype=given.pop("compute_dtype", None))
    assert str(loaded(files[0], flux, quantization_config=config, **given).dtype).endswith(expected)


def test_types_of_torch(flux, files):
    torch = pytest.importorskip("torch")
    config = GGUFQuantizationConfig(compute_dtype=torch.bfloat16)
    model = loaded(files[0], flux, quantization_config=config, torch_dtype=torch.bfloat16)
    assert str(model.dtype).endswith("bfloat16")
    with pytest.raises(ValueError, match="`compute_dtype` is bfloat16 and `torch_dtype` is float16"):
        loaded(files[0], flux, quantization_config=config, torch_dtype=torch.float16)
    with pytest.raises(ValueError, match="`compute_dtype`: models compute in"):
        loaded(files[0], flux, quantization_config=GGUFQuantizationConfig(torch.float64))


def test_a_gguf_config_without_a_gguf_file(flux, files):
    config = GGUFQuantizationConfig()
    with pytest.raises(ValueError, match=r"model.safetensors is not a GGUF file"):
        loaded(files[1], flux, quantization_config=config)
    for load in (
        lambda: oxidiff.FluxPipeline.from_pretrained(flux, quantization_config=config),
        lambda: oxidiff.FluxPipeline.from_single_file(files[0], quantization_config=config),
        lambda: FluxTransformer2DModel.from_pretrained(flux, subfolder="transformer", quantization_config=config),
        lambda: PipelineQuantizationConfig(quant_mapping={"transformer": config}),
    ):
        with pytest.raises(ValueError, match="`from_single_file`"):
            load()


def test_a_mapping_of_parts(emoji):
    def image(config):
        return images(oxidiff.DiffusionPipeline.from_pretrained(emoji, quantization_config=config))

    def mapping(**parts):
        return PipelineQuantizationConfig(quant_mapping=parts)

    plain, rounded = image(None), image(QuantizationConfig("q8_0"))
    everything = mapping(unet=QuantizationConfig("q8_0"), text_encoder=QuantizationConfig("Q8_0", modules_to_not_convert=[]))
    assert largest_difference(image(everything), rounded) == 0
    one = image(mapping(unet=QuantizationConfig("q8_0")))
    assert largest_difference(one, image(QuantizationConfig("q8_0", components_to_quantize=["unet"]))) == 0
    assert largest_difference(one, plain) > 0 and largest_difference(one, rounded) > 0
    kept = QuantizationConfig("q8_0", modules_to_not_convert=["."])
    assert largest_difference(image(mapping(unet=kept)), plain) == 0
    with pytest.raises(ValueError, match="`unet_9`"):
        image(mapping(unet_9=QuantizationConfig("q8_0")))


def test_mappings_that_do_not_work(flux):
    q8_0 = QuantizationConfig("q8_0")
    for other in (QuantizationConfig("q4_k"), QuantizationConfig("q8_0", modules_to_not_convert=["norm"])):
        with pytest.raises(NotImplementedError, match="`transformer` and `text_encoder` differ"):
            PipelineQuantizationConfig(quant_mapping={"transformer": q8_0, "text_encoder": other})
    for backend in ("bitsandbytes_4bit", "torchao", "quanto"):
        with pytest.raises(NotImplementedError, match=f"`quant_backend='{backend}'`.*QuantizationConfig\\(\"q8_0\"\\)"):
            PipelineQuantizationConfig(quant_backend=backend, quant_kwargs={"load_in_4bit": True})
    for arguments, message in (
        (dict(), "`quant_mapping` is missing"),
        (dict(quant_backend="quanto", quant_mapping={"unet": q8_0}), "exclude each other"),
        (dict(quant_kwargs={"a": 1}, quant_mapping={"unet": q8_0}), "go with `quant_backend`"),
        (dict(quant_mapping={"unet": QuantizationConfig("q8_0", components_to_quantize=["vae"])}), "must be left out"),
    ):
        with pytest.raises(ValueError, match=message):
            PipelineQuantizationConfig(**arguments)
    for mapping in ({"unet": "q8_0"}, ["q8_0"]):
        with pytest.raises(TypeError, match="quant_mapping"):
            PipelineQuantizationConfig(quant_mapping=mapping)
    with pytest.raises(TypeError, match="is for pipelines"):
        config = PipelineQuantizationConfig(quant_mapping={"transformer": q8_0})
        FluxTransformer2DModel.from_pretrained(flux, subfolder="transformer", quantization_config=config)


class BitsAndBytesConfig:
    """As that of transformers, for which torch must be installed."""

    quant_method = "bitsandbytes"


def test_configs_of_other_libraries(flux):
    for name in ("BitsAndBytesConfig", "TorchAoConfig", "QuantoConfig", "NVIDIAModelOptConfig"):
        for module in (oxidiff, oxidiff.quantizers):
            with pytest.raises(NotImplementedError, match=f"{name}.*QuantizationConfig"):
                getattr(module, name)
    with pytest.raises(NotImplementedError, match=r"BitsAndBytesConfig \(bitsandbytes\) is not supported"):
        PipelineQuantizationConfig(quant_mapping={"transformer": BitsAndBytesConfig()})
    with pytest.raises(NotImplementedError, match=r"BitsAndBytesConfig \(bitsandbytes\) is not supported"):
        FluxTransformer2DModel.from_pretrained(flux, subfolder="transformer", quantization_config=BitsAndBytesConfig())


def test_models_that_are_replaced_are_not_read(flux, tmp_path):
    folder = shutil.copytree(flux, tmp_path / "flux")
    transformer = FluxTransformer2DModel.from_pretrained(flux, subfolder="transformer")
    vae = AutoencoderKL.from_pretrained(flux, subfolder="vae")
    for part in ("transformer", "vae"):
        for weights in (folder / part).glob("*.safetensors*"):
            weights.unlink()
    with pytest.raises(OSError, match="transformer"):
        FluxPipeline.from_pretrained(folder)
    pipeline = FluxPipeline.from_pretrained(folder, transformer=transformer, vae=vae)
    assert pipeline.transformer is transformer and pipeline.vae is vae
    image = pipeline("a cat", num_inference_steps=1, height=32, width=32, output_type="np", max_sequence_length=16).images
    assert image.shape == (1, 32, 32, 3)


def test_configs_of_diffusers(flux, files):
    expected = loaded(files[0], flux, dtype="bfloat16")

    class Config:
        """What the class of diffusers for GGUF files has."""

        def __init__(self):
            self.quant_method, self.compute_dtype = "gguf", "bfloat16"

    for config in ({"quant_method": "gguf", "compute_dtype": "bfloat16"}, Config()):
        model = loaded(files[0], flux, quantization_config=config)
        assert model.dtype == expected.dtype and model.num_parameters() == expected.num_parameters()
    for load in (lambda given: loaded(files[0], flux, quantization_config=given),
                 lambda given: FluxTransformer2DModel.from_pretrained(flux, subfolder="transformer", quantization_config=given)):
        with pytest.raises(NotImplementedError, match="'bitsandbytes'.*QuantizationConfig"):
            load({"quant_method": "bitsandbytes", "load_in_4bit": True})
        with pytest.raises(ValueError, match="no `quant_method`"):
            load({"load_in_4bit": True})
    with pytest.raises(ValueError, match="`from_single_file`"):
        FluxTransformer2DModel.from_pretrained(flux, subfolder="transformer", quantization_config={"quant_method": "gguf"})


def test_names_are_lists():
    for name in ("modules_to_not_convert", "components_to_quantize"):
        for wrong in ("attn", [1]):
            with pytest.raises(TypeError, match=f"`{name}`: must be a list of strings"):
                QuantizationConfig("q8_0", **{name: wrong})
