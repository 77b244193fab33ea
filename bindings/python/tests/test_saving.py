"""Saved weights: their variants, and files of a limited size."""

import json

import pytest
from conftest import largest_difference

from oxidiff import AutoencoderKL, DiffusionPipeline, FluxTransformer2DModel, Generator


def image(folder, **options):
    pipeline = DiffusionPipeline.from_pretrained(folder, **options)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline("apple", num_inference_steps=1, height=32, width=32, max_sequence_length=8, output_type="np", generator=Generator(0)).images


def test_variants_and_shards(flux, tmp_path):
    expected, pipeline = image(flux), DiffusionPipeline.from_pretrained(flux)
    pipeline.save_pretrained(tmp_path)
    pipeline.to("bfloat16").save_pretrained(tmp_path, variant="bf16", max_shard_size="20KB")
    assert largest_difference(image(tmp_path), expected) == 0
    transformer = tmp_path / "transformer"
    index = json.loads((transformer / "diffusion_pytorch_model.safetensors.index.bf16.json").read_text())
    files = sorted(set(index["weight_map"].values()))
    assert len(files) > 1 and files[0] == f"diffusion_pytorch_model.bf16-00001-of-{len(files):05}.safetensors"
    assert all((transformer / file).exists() for file in files)
    assert (tmp_path / "text_encoder_2" / "model.safetensors.index.bf16.json").exists()
    rounded = image(tmp_path, variant="bf16", torch_dtype="bfloat16")
    assert largest_difference(rounded, image(flux, torch_dtype="bfloat16")) == 0
    # Shards of another number are replaced.
    pipeline.save_pretrained(tmp_path, variant="bf16")
    assert not list(tmp_path.glob("*/*-of-*")) and not list(tmp_path.glob("*/*.index.*")) and not list(tmp_path.glob(".saving*"))
    assert largest_difference(image(tmp_path, variant="bf16", torch_dtype="bfloat16"), rounded) == 0


def test_shards_of_a_model(flux, tmp_path):
    model = FluxTransformer2DModel.from_pretrained(flux, subfolder="transformer")
    model.save_pretrained(tmp_path, max_shard_size=50_000)
    sizes = [file.stat().st_size for file in tmp_path.glob("*.safetensors")]
    assert len(sizes) > 3
    again = FluxTransformer2DModel.from_pretrained(tmp_path)
    assert again.num_parameters() == model.num_parameters()
    torch, diffusers = pytest.importorskip("torch"), pytest.importorskip("diffusers")
    theirs = diffusers.FluxTransformer2DModel.from_pretrained(tmp_path).state_dict()
    whole = diffusers.FluxTransformer2DModel.from_pretrained(flux, subfolder="transformer").state_dict()
    assert theirs.keys() == whole.keys() and all(torch.equal(theirs[name], whole[name]) for name in whole)


def test_what_is_not_saved(flux, tmp_path):
    for part in (DiffusionPipeline.from_pretrained(flux), AutoencoderKL.from_pretrained(flux, subfolder="vae")):
        for options, error, message in (
            (dict(safe_serialization=False), NotImplementedError, "no pickles"),
            (dict(push_to_hub=True), NotImplementedError, "local folder"),
            (dict(max_shard_size="many"), ValueError, "'5GB'"),
            (dict(max_shard_size=0), ValueError, "'5GB'"),
        ):
            with pytest.raises(error, match=message):
                part.save_pretrained(tmp_path / "new", **options)
    assert not (tmp_path / "new").exists()
