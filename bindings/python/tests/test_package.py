"""The package: its start, its images, its memory, its stubs."""

import inspect
import pickle
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
from PIL import Image

import oxidiff
from oxidiff import BaseOutput, ImagePipelineOutput, VaeImageProcessor, export_to_gif, load_image, make_image_grid

ROOT = Path(__file__).parents[1]


def test_importing_needs_no_other_package():
    code = "import sys, oxidiff; print(sorted(m for m in ('numpy', 'PIL', 'torch', 'tqdm') if m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_class_of_the_registries_can_be_imported():
    from oxidiff import _oxidiff, models, pipelines, schedulers

    for module, classes in [(pipelines, _oxidiff.pipeline_classes()), (models, _oxidiff.model_classes()),
                            (schedulers, _oxidiff.scheduler_classes())]:
        for name, *_ in classes:
            assert getattr(oxidiff, name) is getattr(module, name) and name in oxidiff.__all__
            assert getattr(oxidiff, name).__name__ == name
    for name in _oxidiff.auto_pipeline_classes():
        assert getattr(oxidiff, name) is getattr(pipelines, name)
        with pytest.raises(EnvironmentError):
            getattr(oxidiff, name)()


def test_calls_have_the_arguments_of_the_registry():
    from oxidiff import _oxidiff

    for name, arguments in _oxidiff.pipeline_classes():
        parameters = inspect.signature(getattr(oxidiff, name).__call__).parameters
        for info in arguments:
            assert parameters[info["name"]].default == info["default"], (name, info)
            assert f"{info['name']} ({info['annotation']}): {info['help']}" in getattr(oxidiff, name).__call__.__doc__


def test_modules_of_diffusers():
    from oxidiff.image_processor import VaeImageProcessor as processor
    from oxidiff.utils import load_image as load

    assert processor is VaeImageProcessor and load is load_image


def test_classes_that_are_not_there_say_so():
    with pytest.raises(NotImplementedError, match="NoSuchPipeline"):
        from oxidiff import NoSuchPipeline  # noqa: F401
    with pytest.raises(ImportError):
        from oxidiff import no_such_function  # noqa: F401
    assert not hasattr(oxidiff, "no_such_function")


def test_images(tmp_path):
    images = [Image.new("RGB", (8, 6), colour) for colour in ("red", "green", "blue", "white")]
    grid = make_image_grid(images, rows=2, cols=2)
    assert grid.size == (16, 12) and grid.getpixel((15, 11)) == (255, 255, 255)
    grid.save(tmp_path / "grid.png")
    assert load_image(str(tmp_path / "grid.png")).size == grid.size
    assert Image.open(export_to_gif(images, str(tmp_path / "a.gif"))).n_frames == 4
    with pytest.raises(ValueError):
        load_image("no such file")


def test_the_image_processor():
    processor = VaeImageProcessor()
    picture = Image.fromarray(numpy.random.default_rng(0).integers(0, 255, (16, 24, 3), dtype=numpy.uint8))
    values = processor.preprocess(picture)
    assert values.shape == (1, 3, 16, 24)
    assert numpy.array_equal(numpy.asarray(processor.postprocess(values)[0]), numpy.asarray(picture))
    assert processor.postprocess(values, output_type="np").shape == (1, 16, 24, 3)


def test_outputs_are_mappings_and_tuples():
    output = ImagePipelineOutput(images=[1, 2])
    assert output.images == output["images"] == output[0] == [1, 2] and output.to_tuple() == ([1, 2],)
    assert list(output) == ["images"] and isinstance(output, BaseOutput) and isinstance(output, dict)
    assert pickle.loads(pickle.dumps(output)).images == [1, 2]


def test_memory_stays_flat(pipeline):
    resource = pytest.importorskip("resource")

    def generate(times):
        for seed in range(times):
            pipeline("a red apple", num_inference_steps=1, generator=oxidiff.Generator(seed))
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    # The largest amount so far only grows; after some calls it must have stopped.
    before = generate(20)
    assert generate(100) - before < 8 * 1024


def test_the_stubs_are_up_to_date():
    script = [sys.executable, str(ROOT / "generate_stubs.py"), "--check"]
    result = subprocess.run(script, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_modules_where_diffusers_has_them():
    code = """
from oxidiff.schedulers.scheduling_ddim import DDIMScheduler, DDIMSchedulerOutput
from oxidiff.schedulers.scheduling_utils import SchedulerMixin, SchedulerOutput
from oxidiff.pipelines.stable_diffusion import StableDiffusionPipeline, StableDiffusionPipelineOutput
from oxidiff.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline as same
from oxidiff.models.autoencoders import AutoencoderKL
from oxidiff.configuration_utils import FrozenDict
from oxidiff.utils import logging
import oxidiff

assert DDIMScheduler is oxidiff.DDIMScheduler and same is StableDiffusionPipeline is oxidiff.StableDiffusionPipeline
assert AutoencoderKL is oxidiff.AutoencoderKL and DDIMSchedulerOutput is SchedulerOutput
assert oxidiff.logging is logging
logging.set_verbosity_error()
assert logging.get_verbosity() == logging.ERROR
for missing in ("oxidiff.no_such_module", "oxidiff.schedulers.no_such_module", "oxidiff.pipelines.stable_diffusion.no_such",
                "oxidiff.schedulers.scheduling_ddim.no_such"):
    try:
        __import__(missing)
    except ModuleNotFoundError:
        continue
    raise AssertionError(missing)
from oxidiff.schedulers.scheduling_ddim import *
assert EulerDiscreteScheduler is oxidiff.EulerDiscreteScheduler
import oxidiff.models.attention_processor, oxidiff.pipelines
for module, name in ((oxidiff.models.attention_processor, "AttnProcessor2_0"), (oxidiff.pipelines, "KolorsPipeline"),
                     (oxidiff.schedulers, "KarrasDiffusionSchedulers")):
    try:
        getattr(module, name)
    except NotImplementedError:
        continue
    raise AssertionError(name)
print("refused")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "refused\n", done.stderr


def test_functions_where_diffusers_has_them():
    from oxidiff.utils import check_min_version
    from oxidiff.utils.loading_utils import load_image as load

    assert load is load_image
    check_min_version("0.30.2")
    check_min_version("0.42.1")
    with pytest.raises(ImportError, match="0.99.0.dev0"):
        check_min_version("0.99.0.dev0")


@pytest.mark.parametrize("module, name", [
    ("pipelines.flux", "FluxPipeline"), ("pipelines.flux.pipeline_flux_fill", "FluxFillPipeline"),
    ("pipelines.flux2.pipeline_flux2", "Flux2Pipeline"), ("pipelines.z_image.pipeline_z_image", "ZImagePipeline"),
    ("pipelines.stable_diffusion_3.pipeline_stable_diffusion_3", "StableDiffusion3Pipeline"),
    ("pipelines.chroma", "ChromaPipeline"), ("pipelines.sana.pipeline_sana_sprint", "SanaSprintPipeline"),
    ("pipelines.pixart_alpha.pipeline_pixart_sigma", "PixArtSigmaPipeline"), ("pipelines.lumina2", "Lumina2Pipeline"),
    ("pipelines.aura_flow", "AuraFlowPipeline"), ("pipelines.hunyuandit", "HunyuanDiTPipeline"),
    ("pipelines.qwenimage.pipeline_qwenimage", "QwenImagePipeline"), ("pipelines.flux.pipeline_output", "ImagePipelineOutput"),
    ("pipelines.controlnet_sd3", "StableDiffusion3ControlNetPipeline"),
    ("pipelines.controlnet_hunyuandit.pipeline_hunyuandit_controlnet", "HunyuanDiTControlNetPipeline"),
    ("models.transformers.transformer_flux", "FluxTransformer2DModel"), ("models.transformers.transformer_sd3", "SD3Transformer2DModel"),
    ("models.controlnets.controlnet_flux", "FluxMultiControlNetModel"), ("models.autoencoders.autoencoder_dc", "AutoencoderDC"),
    ("schedulers.scheduling_scm", "SCMScheduler"), ("utils.export_utils", "export_to_gif"),
    ("utils.import_utils", "is_torch_available"), ("utils", "get_logger"),
])
def test_modules_where_diffusers_has_them(module, name):
    import importlib

    assert getattr(importlib.import_module(f"oxidiff.{module}"), name) is not None


def test_packages_that_are_installed():
    from oxidiff.utils import is_numpy_available
    from oxidiff.utils.import_utils import is_no_such_package_available

    assert is_numpy_available() and not is_no_such_package_available()
