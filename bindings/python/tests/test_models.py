"""Models: loading, calling with arrays of every kind, and converting."""

import inspect

import numpy
import pytest
from conftest import largest_difference

import oxidiff
from oxidiff import AutoencoderKL, AutoModel, CLIPTextModel, Tensor, UNet2DConditionModel, UNet2DModel

sample = numpy.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(numpy.float32)


def test_kinds_of_arrays(cats):
    model = UNet2DModel.from_pretrained(cats, use_safetensors=True)
    output = model(sample=sample, timestep=2)
    assert isinstance(output.sample, numpy.ndarray) and output[0] is output.sample is output["sample"]
    assert isinstance(model(Tensor(sample), 2)[0], Tensor)
    assert largest_difference(model(Tensor(sample), oxidiff.arange(3)[2]).sample, output.sample) == 0
    assert type(model(sample, 2, return_dict=False)) is tuple
    assert list(inspect.signature(UNet2DModel.__call__).parameters)[:3] == ["self", "sample", "timestep"]
    given = sample.copy()
    model(given, 2)
    assert largest_difference(given, sample) == 0


def test_torch(cats):
    torch = pytest.importorskip("torch")
    model = UNet2DModel.from_pretrained(cats, torch_dtype=torch.float32)
    output = model(torch.tensor(sample), torch.tensor(2)).sample
    assert isinstance(output, torch.Tensor)
    assert largest_difference(output, model(sample, 2).sample) == 0


def test_the_configuration(cats):
    config = UNet2DModel.from_pretrained(cats).config
    assert config.in_channels == config["in_channels"] == 3
    assert list(config)[:3] == ["sample_size", "in_channels", "out_channels"]
    assert config._class_name == "UNet2DModel" and config._name_or_path == cats


def test_fields_of_the_configuration_are_overridden(stable_diffusion, caplog):
    vae = AutoencoderKL.from_pretrained(stable_diffusion, subfolder="vae", scaling_factor=0.5, no_such_field=1)
    assert vae.config.scaling_factor == 0.5
    assert "no_such_field" not in vae.config
    assert "no_such_field" in caplog.text
    with pytest.raises(ValueError, match="latent_channels"):
        AutoencoderKL.from_pretrained(stable_diffusion, subfolder="vae", latent_channels="four")


def test_models_of_a_pipeline(stable_diffusion):
    unet = UNet2DConditionModel.from_pretrained(stable_diffusion, subfolder="unet")
    text_encoder = CLIPTextModel.from_pretrained(stable_diffusion, subfolder="text_encoder")
    tokens = numpy.zeros((1, 5), dtype=numpy.int64)
    text = text_encoder(tokens)
    assert text.last_hidden_state.ndim == 3 and text.pooler_output.ndim == 2
    latents = numpy.zeros((1, unet.config.in_channels, 8, 8), dtype=numpy.float32)
    noise = unet(latents, 10, encoder_hidden_states=text[0], added_cond_kwargs=None).sample
    assert noise.shape == latents.shape
    assert type(AutoModel.from_pretrained(stable_diffusion, subfolder="vae")) is AutoencoderKL


def test_autoencoders(stable_diffusion):
    vae = AutoencoderKL.from_pretrained(stable_diffusion, subfolder="vae")
    image = numpy.zeros((1, 3, 32, 32), dtype=numpy.float32)
    distribution = vae.encode(image).latent_dist
    latents = distribution.sample(generator=oxidiff.Generator(0))
    assert isinstance(latents, numpy.ndarray)
    noise = oxidiff.randn(*latents.shape, generator=oxidiff.Generator(0)).numpy()
    assert largest_difference(latents, distribution.mean + distribution.std * noise) < 1e-5
    assert vae.decode(latents).sample.shape == image.shape
    assert largest_difference(vae(image).sample, vae.decode(distribution.mode()).sample) == 0


def test_types(cats):
    model = UNet2DModel.from_pretrained(cats, dtype="bfloat16")
    assert model.dtype == oxidiff.bfloat16
    assert model.to(oxidiff.float32).dtype == oxidiff.float32 and model.half().dtype == oxidiff.float16
    assert model.eval().num_parameters() > 1000


def test_new_models(tmp_path):
    model = UNet2DModel(sample_size=8, block_out_channels=(8, 8), norm_num_groups=2, layers_per_block=1,
                        down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"))
    model.save_pretrained(tmp_path)
    loaded = UNet2DModel.from_pretrained(tmp_path)
    assert largest_difference(loaded(sample, 5)[0], model(sample, 5)[0]) == 0
    with pytest.raises(TypeError, match="no_such"):
        UNet2DModel(no_such=1)


def test_errors(cats):
    model = UNet2DModel.from_pretrained(cats)
    with pytest.raises(ValueError, match="sample"):
        model(sample[:, :2], 2)
    with pytest.raises(ValueError, match="timestep"):
        model(sample)
    with pytest.raises(NotImplementedError, match="cross_attention_kwargs"):
        model(sample, 2, cross_attention_kwargs={"scale": 1})
    with pytest.raises(OSError):
        UNet2DModel.from_pretrained("./no/such/folder")
    with pytest.raises(NotImplementedError, match="cuda"):
        model.to("cuda")
    with pytest.raises(ValueError, match="sample"):
        model("a text", 2)
    with pytest.raises(TypeError, match="sample"):
        model({}, 2)
