"""Autoencoders: tiles and slices, and the distribution of latents."""

import numpy
import pytest
from conftest import largest_difference

import oxidiff
from oxidiff import AutoencoderDC, AutoencoderKL, AutoencoderTiny, AutoModel


@pytest.fixture
def vae(flux):
    return AutoencoderKL.from_pretrained(flux, subfolder="vae")


def test_tiles_and_slices_are_set_as_attributes(vae):
    side = 2 * vae.config.sample_size
    picture = numpy.random.default_rng(0).uniform(-1, 1, (2, 3, side, side)).astype(numpy.float32)
    assert vae.use_tiling is False and vae.use_slicing is False
    whole = vae.encode(picture).latent_dist.mean
    vae.use_tiling = vae.use_slicing = True
    assert vae.use_tiling and vae.use_slicing
    tiled = vae.encode(picture).latent_dist.mean
    assert largest_difference(tiled, whole) > 1e-4
    vae.use_tiling = False
    assert largest_difference(vae.encode(picture).latent_dist.mean, whole) < 1e-4
    vae.enable_tiling()
    vae.disable_slicing()
    assert vae.use_tiling and not vae.use_slicing
    assert vae.tile_sample_min_size == vae.config.sample_size and vae.tile_overlap_factor == 0.25
    vae.tile_overlap_factor = 0.25
    for name in ("tile_sample_min_size", "tile_latent_min_size", "tile_overlap_factor"):
        with pytest.raises(NotImplementedError, match=f"`{name}=7`"):
            setattr(vae, name, 7)
    with pytest.raises(TypeError, match="tile_sample_min_height"):
        vae.enable_tiling(tile_sample_min_height=32)


def test_the_library_reads_no_other_attributes(vae):
    for name in ("scaling_factor", "decoder", "training", "gradient_checkpointing"):
        with pytest.raises(NotImplementedError, match=f"`{name}`"):
            setattr(vae, name, 1)
    assert vae.training is False and vae.is_cache_enabled is False


def test_sizes_of_tiles():
    deep = AutoencoderDC(encoder_block_out_channels=(8, 8, 8), decoder_block_out_channels=(8, 8, 8), encoder_layers_per_block=(1, 1, 1),
                         decoder_layers_per_block=(1, 1, 1), latent_channels=4, attention_head_dim=4,
                         encoder_block_types=("ResBlock",) * 3, decoder_block_types=("ResBlock",) * 3,
                         encoder_qkv_multiscales=((), (), ()), decoder_qkv_multiscales=((), (), ()))
    assert (deep.tile_sample_min_height, deep.tile_sample_stride_width, deep.tile_latent_min_height) == (512, 448, 128)
    deep.enable_tiling(tile_sample_min_height=512, tile_sample_stride_width=None)
    with pytest.raises(NotImplementedError, match="`tile_sample_stride_height=64`"):
        deep.enable_tiling(tile_sample_stride_height=64)
    picture = numpy.zeros((1, 3, 16, 16), numpy.float32)
    output = deep.encode(picture)
    assert output.latent is output[0] and output.latent.shape == (1, 4, 4, 4)
    assert AutoencoderTiny().tile_sample_min_size == 512


def test_distributions_of_latents(vae):
    random = numpy.random.default_rng(1)
    first, second = (vae.encode(random.uniform(-1, 1, (2, 3, 16, 16)).astype(numpy.float32)).latent_dist for _ in range(2))
    mean, logvar = first.mean.astype(numpy.float64), first.logvar.astype(numpy.float64)
    var = numpy.exp(logvar)
    assert largest_difference(first.parameters, numpy.concatenate([first.mean, first.logvar], 1)) == 0
    expected = 0.5 * (mean**2 + var - 1 - logvar).sum((1, 2, 3))
    assert largest_difference(first.kl() / expected, numpy.ones(2)) < 1e-4
    other = numpy.exp(second.logvar.astype(numpy.float64))
    expected = 0.5 * ((mean - second.mean) ** 2 / other + var / other - 1 - logvar + second.logvar).sum((1, 2, 3))
    assert largest_difference(first.kl(second) / expected, numpy.ones(2)) < 1e-4
    expected = 0.5 * (numpy.log(2 * numpy.pi) + logvar + (second.mean - mean) ** 2 / var)
    assert largest_difference(first.nll(second.mean) / expected.sum((1, 2, 3)), numpy.ones(2)) < 1e-4
    assert first.nll(second.mean, dims=[1]).shape == (2, *expected.shape[2:])


def test_models_of_any_class(flux):
    assert type(AutoModel.from_pretrained(flux, subfolder="text_encoder_2")) is oxidiff.T5EncoderModel
    assert type(AutoModel.from_pretrained(flux, subfolder="transformer")) is oxidiff.FluxTransformer2DModel


def test_backends_of_attention(flux):
    transformer = AutoModel.from_pretrained(flux, subfolder="transformer")
    transformer.set_attention_backend("native")
    transformer.reset_attention_backend()
    for name in ("flash", "_native_cudnn", "sage"):
        with pytest.raises(NotImplementedError, match=f"`backend='{name}'`.*own attention"):
            transformer.set_attention_backend(name)
