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
        model(sample, 2, cross_attention_kwargs={"scale": 0.5})
    with pytest.raises(OSError):
        UNet2DModel.from_pretrained("./no/such/folder")
    with pytest.raises(NotImplementedError, match="mps"):
        model.to("mps")
    with pytest.raises(ValueError, match="sample"):
        model("a text", 2)
    with pytest.raises(TypeError, match="sample"):
        model({}, 2)


def test_images_of_z_image_are_a_list():
    from oxidiff import ZImageTransformer2DModel

    model = ZImageTransformer2DModel(in_channels=4, dim=32, n_layers=1, n_refiner_layers=1, n_heads=2, n_kv_heads=2, cap_feat_dim=16,
                                     axes_dims=(8, 4, 4), axes_lens=(64, 32, 32))
    random = numpy.random.default_rng(0)
    for images in (1, 2):
        latents, prompts = ([random.normal(size=shape).astype(numpy.float32) for _ in range(images)] for shape in ((4, 1, 8, 8), (7, 16)))
        time = numpy.full(images, 0.4, numpy.float32)
        samples = model(latents, time, prompts).sample
        assert isinstance(samples, list) and [sample.shape for sample in samples] == [(4, 1, 8, 8)] * images
        (again,) = model(latents, time, prompts, return_dict=False)
        assert isinstance(again, list) and all(numpy.array_equal(*pair) for pair in zip(samples, again))


def test_shapes_of_images_for_each_item():
    from oxidiff import QwenImageTransformer2DModel

    model = QwenImageTransformer2DModel(patch_size=2, in_channels=16, out_channels=4, num_layers=1, attention_head_dim=16,
                                        num_attention_heads=2, joint_attention_dim=16, axes_dims_rope=(8, 4, 4))
    random = numpy.random.default_rng(0)
    arguments = {
        "hidden_states": random.normal(size=(2, 12, 16)).astype(numpy.float32), "timestep": numpy.full(2, 0.5, numpy.float32),
        "encoder_hidden_states": random.normal(size=(2, 5, 16)).astype(numpy.float32), "encoder_hidden_states_mask": numpy.ones((2, 5), bool),
    }
    plain = model(img_shapes=[(1, 3, 4)], **arguments).sample
    assert numpy.array_equal(model(img_shapes=[[(1, 3, 4)]] * 2, **arguments).sample, plain)
    with pytest.raises(NotImplementedError, match="differ between the items"):
        model(img_shapes=[[(1, 3, 4)], [(1, 4, 3)]], **arguments)


def test_arguments_that_change_nothing(flux):
    from oxidiff import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained(flux)
    config, random = pipeline.transformer.config, numpy.random.default_rng(0)
    arguments = {
        "hidden_states": random.normal(size=(1, 4, config.in_channels)).astype(numpy.float32),
        "encoder_hidden_states": random.normal(size=(1, 5, config.joint_attention_dim)).astype(numpy.float32),
        "pooled_projections": random.normal(size=(1, config.pooled_projection_dim)).astype(numpy.float32),
        "timestep": numpy.full(1, 0.5, numpy.float32), "guidance": numpy.ones(1, numpy.float32),
        "img_ids": numpy.zeros((4, 3), numpy.float32), "txt_ids": numpy.zeros((5, 3), numpy.float32),
    }
    arguments = arguments if config.guidance_embeds else {name: value for name, value in arguments.items() if name != "guidance"}
    plain = pipeline.transformer(**arguments).sample
    assert numpy.array_equal(pipeline.transformer(joint_attention_kwargs={"scale": 1.0}, **arguments).sample, plain)
    for kwargs in ({"scale": 0.5}, {"ip_hidden_states": 1}):
        with pytest.raises(NotImplementedError, match="joint_attention_kwargs"):
            pipeline.transformer(joint_attention_kwargs=kwargs, **arguments)
    tokens = numpy.ones((1, 4), numpy.int64)
    assert pipeline.text_encoder_2(tokens, output_hidden_states=False) is not None
    with pytest.raises(NotImplementedError, match="from_transformer"):
        oxidiff.FluxControlNetModel.from_transformer(pipeline.transformer)
