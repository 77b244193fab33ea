"""What Python diffusers gave for the same calls, as the scripts in `tests/fixtures` have recorded it."""

import json
import math

import numpy
import pytest
from conftest import FIXTURES, largest_difference
from recorded import load

import oxidiff
from oxidiff import DiffusionPipeline, Generator, Tensor

SCHEDULERS = json.loads((FIXTURES / "schedulers" / "cases.json").read_text())
VALUES = load(FIXTURES / "schedulers" / "cases.safetensors")


def generators(seed):
    return [Generator(each) for each in seed] if isinstance(seed, list) else Generator(seed)


#: Folders with calls of a pipeline, and every how many pixels are recorded.
CALLS = [("pipelines/sd1", 3), ("pipelines/sd2", 3)] + [
    (f"unconditional/pipelines/{name}", 1)
    for name in ("consistency", "ddim", "ddpm", "ddpm_learned", "dit", "pndm", "score_sde_ve")
]


@pytest.mark.parametrize(("folder", "stride"), CALLS)
def test_images_of_pipelines(folder, stride):
    folder = FIXTURES / folder
    recorded = load(folder / "calls.safetensors")
    pipeline = DiffusionPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    own = pipeline.scheduler
    for number, call in enumerate(json.loads((folder / "calls.json").read_text())):
        scheduler, generator = call.pop("scheduler", None), generators(call.pop("seed"))
        pipeline.scheduler = getattr(oxidiff, scheduler).from_config(own.config) if scheduler else own
        images = pipeline(**call, generator=generator, output_type="np").images
        assert largest_difference(images[:, ::stride, ::stride], recorded[f"{number}.image"]) < 1e-3, number


def model(sample, timestep):
    """The stand-in for a model of `scheduler_recording.py`."""
    output = 0.3 * sample + 0.1 * sample.clip(-1, 1) + numpy.float32(0.0005 * float(timestep))
    return (output + 0.2 * VALUES["pattern"]).astype(numpy.float32)


def can_be_repeated(case):
    """Whether all of a case's noise comes from a generator, and its values are those of `model`."""
    draws = "generator" in getattr(oxidiff, case["class"]).step.__code__.co_varnames
    is_plain = case["dtype"] == "float32" and not case["variance"] and not case["options"]
    return is_plain and not (draws and case["seed"] is None and case["class"] not in ("DDIMScheduler", "EulerDiscreteScheduler"))


CASES = [case for case in SCHEDULERS["cases"] if can_be_repeated(case)]


@pytest.mark.parametrize("kind", [lambda array: array, Tensor], ids=["numpy", "own"])
def test_steps_of_schedulers(kind):
    assert len(CASES) > 100
    for case in CASES:
        values = iter(VALUES[case["id"]])
        recorded = {name: numpy.array([next(values) for _ in range(numpy.prod(shape))]).reshape(shape)
                    for name, shape in case["layout"]}
        scheduler = getattr(oxidiff, case["class"]).from_config(case["config"])
        given = {name: case[name] for name in ("timesteps", "sigmas", "mu") if case[name] is not None}
        if case["steps"] is not None or given:
            scheduler.set_timesteps(case["steps"], **given)
        assert largest_difference(scheduler.timesteps, recorded["timesteps"]) < 1e-3, case
        run = list(scheduler.timesteps)
        if case["begin"] is not None:
            scheduler.set_begin_index(case["begin"])
            run = run[case["begin"]:]
        further = {} if case["seed"] is None else {"generator": Generator(case["seed"])}
        sample, samples = VALUES["sample"] * numpy.float32(case["init_noise_sigma"]), []
        for timestep in run:
            scaled = numpy.asarray(scheduler.scale_model_input(kind(sample), timestep))
            sample = scheduler.step(kind(model(scaled, timestep)), timestep, kind(sample), **further).prev_sample
            sample = numpy.asarray(sample)
            samples.append(sample)
        kept = numpy.stack([samples[index] for index in case["kept"]])
        assert largest_difference(kept, recorded["samples"]) < 1e-4 * max(1, abs(recorded["samples"]).max()), case


def test_configurations_through_several_classes():
    assert len(SCHEDULERS["swaps"]) > 10
    # Python's JSON has infinities, the recordings have their names.
    names = {math.inf: "Infinity", -math.inf: "-Infinity"}
    for swap in SCHEDULERS["swaps"]:
        config = swap["config"]
        for name in swap["classes"]:
            scheduler = getattr(oxidiff, name).from_config(config)
            config = scheduler.config
        values = json.loads(scheduler.to_json_string()).items()
        assert {name: names.get(value, value) if isinstance(value, float) else value for name, value in values} \
            == swap["expected"], swap
