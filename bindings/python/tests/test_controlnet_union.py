"""ControlNets for several types of images. `crates/oxidiff-tests/tests/steering/controlnet_union` compares their images with recorded ones."""

import numpy
import pytest
from conftest import FIXTURES, largest_difference
from PIL import Image

from oxidiff import (
    AutoPipelineForImage2Image,
    ControlNetUnionModel,
    DiffusionPipeline,
    Generator,
    StableDiffusionXLControlNetPipeline,
    StableDiffusionXLControlNetUnionImg2ImgPipeline,
    StableDiffusionXLControlNetUnionPipeline,
)

FOLDER = FIXTURES / "controlnet_union"
XL = FIXTURES / "stable_diffusion_xl" / "base"
random = numpy.random.default_rng(2)
first, second = (Image.fromarray(random.integers(0, 255, (32, 32, 3), numpy.uint8)) for _ in range(2))


@pytest.fixture(scope="module")
def plain():
    return DiffusionPipeline.from_pretrained(XL)


@pytest.fixture(scope="module")
def net(plain):
    return ControlNetUnionModel.from_unet(plain.unet, conditioning_embedding_out_channels=(4, 4, 6, 8))


def images(pipeline, image, **arguments):
    pipeline.set_progress_bar_config(disable=True)
    arguments = {"num_inference_steps": 2, "output_type": "np", "generator": Generator(1), **arguments}
    return pipeline("a red apple", control_image=image, **arguments).images


def test_images_follow_others_of_several_types(plain, net):
    pipeline = StableDiffusionXLControlNetUnionPipeline(**plain.components, controlnet=net)
    assert pipeline.controlnet is net and pipeline.config.controlnet == ["diffusers", "ControlNetUnionModel"]
    assert images(pipeline, first, control_mode=3).shape == (1, 32, 32, 3)
    made = images(pipeline, [first, second], control_mode=[0, 3], controlnet_conditioning_scale=[1.0, 0.5])
    assert made.shape == (1, 32, 32, 3)
    two = pipeline(["a dog", "a cat"], control_image=[[first, second], [second, first]], control_mode=[0, 3],
                   num_inference_steps=1, output_type="np").images
    assert two.shape == (2, 32, 32, 3)
    with pytest.raises(ValueError, match="control_mode"):
        images(pipeline, first, control_mode=6)
    with pytest.raises(ValueError, match="control_mode"):
        images(pipeline, first)
    with pytest.raises(ValueError, match="control_image"):
        images(pipeline, [first, second], control_mode=[0, 1, 2])


def test_they_are_given_to_other_pipelines(plain, net, tmp_path):
    both = StableDiffusionXLControlNetUnionPipeline.from_pipe(plain, controlnet=[net, net])
    assert images(both, [first, second], control_mode=[0, 3]).shape == (1, 32, 32, 3)
    both.save_pretrained(tmp_path)
    assert both.config.controlnet == ["diffusers", "MultiControlNetUnionModel"]
    assert type(DiffusionPipeline.from_pretrained(tmp_path)) is StableDiffusionXLControlNetUnionPipeline
    change = AutoPipelineForImage2Image.from_pipe(plain, controlnet=net)
    assert type(change) is StableDiffusionXLControlNetUnionImg2ImgPipeline
    assert type(DiffusionPipeline.from_pretrained(XL, controlnet=net)) is StableDiffusionXLControlNetUnionPipeline
    with pytest.raises(ValueError, match="controlnet"):
        StableDiffusionXLControlNetPipeline.from_pretrained(XL, controlnet=net)


def test_the_model_returns_the_residuals_of_diffusers():
    torch = pytest.importorskip("torch")
    diffusers = pytest.importorskip("diffusers")
    ours = ControlNetUnionModel.from_pretrained(FOLDER / "stored")
    theirs = diffusers.ControlNetUnionModel.from_pretrained(FOLDER / "stored", torch_dtype=torch.float32).eval()
    generator = torch.Generator().manual_seed(0)
    given = dict(
        sample=torch.randn((2, 4, 4, 4), generator=generator), timestep=301, encoder_hidden_states=torch.randn((2, 7, 6), generator=generator),
        controlnet_cond=[torch.rand((2, 3, 8, 8), generator=generator) for _ in range(2)], control_type=torch.tensor([[1.0, 0.0, 1.0]] * 2),
        control_type_idx=[0, 2], conditioning_scale=[0.5, 1.0],
    )
    with torch.inference_mode():
        expected = theirs(**given)
    made = ours(**given)
    for one, other in zip(made.down_block_res_samples, expected.down_block_res_samples, strict=True):
        assert largest_difference(one, other) < 1e-4
    assert largest_difference(made.mid_block_res_sample, expected.mid_block_res_sample) < 1e-4
