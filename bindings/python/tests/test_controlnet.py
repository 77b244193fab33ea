"""ControlNets, alone and several at once. `crates/oxidiff-tests/tests/steering/controlnet` compares their images with recorded ones."""

import numpy
import pytest
from conftest import FIXTURES, largest_difference
from PIL import Image

import oxidiff
from oxidiff import (
    AutoPipelineForInpainting,
    AutoPipelineForText2Image,
    ControlNetModel,
    DDIMScheduler,
    DiffusionPipeline,
    FluxControlNetPipeline,
    Generator,
    MultiControlNetModel,
    StableDiffusionControlNetInpaintPipeline,
    StableDiffusionControlNetPipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)

FOLDER = FIXTURES / "controlnet"
SD1 = FIXTURES / "pipelines" / "sd1"
random = numpy.random.default_rng(2)
first, second = (Image.fromarray(random.integers(0, 255, (32, 32, 3), numpy.uint8)) for _ in range(2))


@pytest.fixture(scope="module")
def nets():
    return [ControlNetModel.from_pretrained(FOLDER / name) for name in ("controlnet", "controlnet_1")]


@pytest.fixture(scope="module")
def parts():
    """The parts of a pipeline that the ControlNets were made for."""
    parts = DiffusionPipeline.from_pretrained(SD1).components
    unet = UNet2DConditionModel.from_pretrained(FOLDER / "unet")
    return {**parts, "unet": unet, "scheduler": DDIMScheduler.from_config(parts["scheduler"].config)}


def images(pipeline, image, **arguments):
    pipeline.set_progress_bar_config(disable=True)
    arguments = {"num_inference_steps": 2, "output_type": "np", "generator": Generator(1), **arguments}
    return pipeline("a red apple", image=image, **arguments).images


def test_images_follow_another(parts, nets):
    pipeline = StableDiffusionControlNetPipeline(**parts, controlnet=nets[0])
    assert pipeline.controlnet is nets[0] and pipeline.config.controlnet == ["diffusers", "ControlNetModel"]
    followed = images(pipeline, first)
    assert followed.shape == (1, 32, 32, 3)
    assert largest_difference(followed, images(pipeline, second)) > 1e-3
    free = images(pipeline, first, controlnet_conditioning_scale=0.0)
    assert largest_difference(free, followed) > 1e-3
    assert largest_difference(free, images(pipeline, second, controlnet_conditioning_scale=0.0)) == 0
    values = numpy.asarray(first, numpy.float32)[None] / 255
    assert largest_difference(images(pipeline, values), followed) < 1e-5


def test_several_control_nets(parts, nets, tmp_path):
    both = StableDiffusionControlNetPipeline(**parts, controlnet=nets)
    made = images(both, [first, second], controlnet_conditioning_scale=[0.5, 1.0])
    assert largest_difference(made, images(both, [second, first], controlnet_conditioning_scale=[0.5, 1.0])) > 1e-3
    both.save_pretrained(tmp_path)
    loaded = DiffusionPipeline.from_pretrained(tmp_path)
    assert type(loaded) is StableDiffusionControlNetPipeline
    assert largest_difference(images(loaded, [first, second], controlnet_conditioning_scale=[0.5, 1.0]), made) < 1e-5
    with pytest.raises(ValueError, match="image"):
        images(both, [first, second, first])


def test_control_nets_that_do_not_fit_are_refused():
    xl = ControlNetModel.from_pretrained(FOLDER / "models" / "xl")
    for kind in (StableDiffusionControlNetPipeline, DiffusionPipeline, AutoPipelineForText2Image):
        with pytest.raises(ValueError, match="controlnet"):
            kind.from_pretrained(SD1, controlnet=xl)
    with pytest.raises(TypeError, match="controlnet"):
        DiffusionPipeline.from_pretrained(SD1, controlnet="edges")
    plain = DiffusionPipeline.from_pretrained(SD1)
    with pytest.raises(TypeError, match="controlnet"):
        AutoPipelineForText2Image.from_pipe(plain, controlnet=plain.unet)


def test_from_pipe(parts, nets):
    expected = images(StableDiffusionControlNetPipeline(**parts, controlnet=nets[0]), first)
    plain = StableDiffusionPipeline(**parts)
    for kind in (StableDiffusionControlNetPipeline, AutoPipelineForText2Image):
        made = kind.from_pipe(plain, controlnet=nets[0])
        assert type(made) is StableDiffusionControlNetPipeline and made.controlnet is nets[0]
        assert made.unet is plain.unet and largest_difference(images(made, first), expected) == 0
    both = StableDiffusionControlNetPipeline.from_pipe(plain, controlnet=nets)
    assert largest_difference(images(both, [first, second]), expected) > 1e-3
    inpaint = AutoPipelineForInpainting.from_pipe(plain, controlnet=nets[0])
    assert type(inpaint) is StableDiffusionControlNetInpaintPipeline
    again = StableDiffusionPipeline.from_pipe(both)
    assert type(again) is StableDiffusionPipeline and "controlnet" not in again.components


def test_a_new_control_net_adds_nothing(parts):
    made = ControlNetModel.from_unet(parts["unet"], conditioning_embedding_out_channels=(4, 8, 8, 16))
    assert made.config.conditioning_embedding_out_channels == [4, 8, 8, 16]
    pipeline = StableDiffusionControlNetPipeline(**parts, controlnet=made)
    assert largest_difference(images(pipeline, first), images(pipeline, second)) == 0
    assert ControlNetModel.from_unet(
        parts["unet"], controlnet_conditioning_channel_order="bgr"
    ).config.controlnet_conditioning_channel_order == "bgr"
    with pytest.raises(ValueError, match="order"):
        ControlNetModel.from_unet(parts["unet"], controlnet_conditioning_channel_order="gbr")
    for wrong in (parts["vae"], None):
        with pytest.raises(TypeError, match="unet"):
            ControlNetModel.from_unet(wrong)


def test_masked_parts_follow_another(parts, nets):
    pipeline = StableDiffusionControlNetInpaintPipeline(**parts, controlnet=nets[0])
    pipeline.set_progress_bar_config(disable=True)
    mask = numpy.zeros((32, 32), numpy.float64)
    mask[:, 16:] = 1
    arguments = {"num_inference_steps": 2, "output_type": "np", "generator": Generator(1), "mask_image": mask}
    made = [pipeline("dog", image=first, control_image=control, **{**arguments, "generator": Generator(1)}).images
            for control in (first, second)]
    assert largest_difference(*made) > 1e-3


def test_residuals_are_those_of_diffusers(nets):
    torch = pytest.importorskip("torch")
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.ControlNetModel.from_pretrained(FOLDER / "controlnet")
    generator = torch.Generator().manual_seed(0)
    width = nets[0].config.cross_attention_dim
    sample, text = torch.randn(2, 4, 4, 4, generator=generator), torch.randn(2, 24, width, generator=generator)
    image = torch.rand(2, 3, 32, 32, generator=generator)
    with torch.no_grad():
        down, middle = theirs(sample, 300, text, image, conditioning_scale=0.7, return_dict=False)
    own_down, own_middle = nets[0](sample, 300, text, image, conditioning_scale=0.7, return_dict=False)
    assert len(own_down) == len(down)
    for one, other in zip([*own_down, own_middle], [*down, middle]):
        assert largest_difference(one, other) < 1e-4
    unets = diffusers.UNet2DConditionModel.from_pretrained(FOLDER / "unet"), UNet2DConditionModel.from_pretrained(FOLDER / "unet")
    with torch.no_grad():
        expected, found = (
            unet(sample, 300, text, down_block_additional_residuals=down, mid_block_additional_residual=middle).sample
            for unet in unets
        )
    assert largest_difference(found, expected) < 1e-4


def test_several_control_nets_are_one_part(parts, nets, tmp_path):
    both = MultiControlNetModel(nets)
    arguments = {"controlnet_conditioning_scale": [0.5, 1.0]}
    listed = StableDiffusionControlNetPipeline(**parts, controlnet=nets)
    assert isinstance(listed.controlnet, MultiControlNetModel) and listed.controlnet.nets == nets
    expected = images(listed, [first, second], **arguments)
    plain = StableDiffusionPipeline(**parts)
    made = [StableDiffusionControlNetPipeline(**parts, controlnet=both), StableDiffusionControlNetPipeline.from_pipe(plain, controlnet=both),
            StableDiffusionControlNetPipeline(**parts, controlnet=nets[0])]
    made[-1].controlnet = both
    for pipeline in made:
        assert pipeline.controlnet is both
        assert largest_difference(images(pipeline, [first, second], **arguments), expected) == 0
    both.save_pretrained(tmp_path / "controlnet")
    loaded = MultiControlNetModel.from_pretrained(tmp_path / "controlnet")
    assert len(loaded.nets) == 2 and (tmp_path / "controlnet_1" / "config.json").exists()
    made[0].controlnet = loaded
    assert largest_difference(images(made[0], [first, second], **arguments), expected) == 0
    given = DiffusionPipeline.from_pretrained(SD1, unet=parts["unet"], controlnet=loaded)
    assert type(given) is StableDiffusionControlNetPipeline and given.controlnet.nets == loaded.nets
    made[0].to("bfloat16")
    assert all(str(net.dtype).endswith("bfloat16") for net in loaded.nets)
    assert largest_difference(images(made[0], [first, second], **arguments), expected) > 0
    for wrong in ([], [parts["unet"]], nets[0]):
        with pytest.raises(TypeError):
            MultiControlNetModel(wrong)
    with pytest.raises(NotImplementedError, match="cannot be called"):
        both(1)


def test_several_control_nets_of_flux(flux):
    from oxidiff.models.controlnets.controlnet_flux import FluxControlNetModel, FluxMultiControlNetModel

    parts = DiffusionPipeline.from_pretrained(flux).components
    config = {**parts["transformer"].config, "num_layers": 1, "num_single_layers": 0}
    nets = [FluxControlNetModel.from_config(config), FluxControlNetModel.from_config(config)]
    picture = Image.new("RGB", (32, 32), (200, 10, 10))

    def image(controlnet):
        pipeline = FluxControlNetPipeline(**parts, controlnet=controlnet)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline("a red apple", control_image=[picture, picture], num_inference_steps=1, height=32, width=32, output_type="np",
                        controlnet_conditioning_scale=[0.5, 1.0], max_sequence_length=8, generator=Generator(0)).images

    assert largest_difference(image(FluxMultiControlNetModel(nets)), image(nets)) == 0


@pytest.mark.parametrize("name", ["MultiControlNetUnionModel", "SD3MultiControlNetModel", "QwenImageMultiControlNetModel",
                                  "HunyuanDiT2DMultiControlNetModel", "MultiAdapter"])
def test_classes_of_several_models(name):
    kind = getattr(oxidiff, name)
    with pytest.raises(TypeError, match=name):
        kind([])
