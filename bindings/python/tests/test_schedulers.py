"""Schedulers: their classes, configurations and steps, with arrays of every kind."""

import copy
import inspect
import math

import numpy
import pytest
from conftest import largest_difference

import oxidiff
from oxidiff import (
    DDIMScheduler,
    DDPMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    PNDMScheduler,
    SchedulerMixin,
)

CLASSES = [value for value in vars(oxidiff).values()
           if isinstance(value, type) and issubclass(value, SchedulerMixin) and value is not SchedulerMixin]
sample = numpy.random.default_rng(1).standard_normal((1, 4, 8, 8)).astype(numpy.float32)


def test_every_class_of_the_registry_is_there():
    assert len(CLASSES) >= 31 and DDPMScheduler in CLASSES


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_configurations_survive(kind, tmp_path):
    scheduler = kind()
    scheduler.save_pretrained(tmp_path)
    loaded = kind.from_pretrained(tmp_path)
    assert dict(loaded.config) | {"_use_default_values": None} == dict(scheduler.config) | {"_use_default_values": None}
    assert repr(loaded) == repr(scheduler)
    assert repr(scheduler).startswith(kind.__name__ + " {")
    assert list(inspect.signature(kind.step).parameters)[:4] == ["self", "model_output", "timestep", "sample"]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_has_a_run_of_its_own(copied):
    scheduler = DDIMScheduler()
    scheduler.set_timesteps(5)
    other = copied(scheduler)
    other.set_timesteps(3)
    assert (len(scheduler.timesteps), scheduler.num_inference_steps) == (5, 5)
    assert (len(other.timesteps), other.num_inference_steps) == (3, 3)


def test_a_configuration_is_frozen():
    config = DDPMScheduler(beta_end=0.5).config
    assert config.beta_end == config["beta_end"] == 0.5 and config.get("nothing") is None
    for change in (lambda: setattr(config, "beta_end", 1), lambda: config.update(a=1), lambda: config.pop("beta_end")):
        with pytest.raises(TypeError):
            change()
    with pytest.raises(TypeError):
        config["beta_end"] = 1


def test_defaults_of_another_class_are_not_taken_over():
    ddim = DDIMScheduler.from_config(DDPMScheduler().config)
    assert ddim.config.timestep_spacing == "leading"
    euler = EulerDiscreteScheduler.from_config(DDPMScheduler().config)
    assert euler.config.timestep_spacing == "linspace"
    euler = EulerDiscreteScheduler.from_config(DDPMScheduler(timestep_spacing="leading").config, use_karras_sigmas=True)
    assert euler.config.timestep_spacing == "leading" and euler.config.use_karras_sigmas is True


def test_unknown_arguments():
    with pytest.raises(TypeError, match="unexpected keyword argument 'no_such'"):
        DDPMScheduler(no_such=1)
    with pytest.raises(TypeError, match="eta"):
        DDPMScheduler().step(sample, 2, sample, eta=1.0)
    with pytest.raises(ValueError, match="beta_schedule"):
        DDPMScheduler(beta_schedule="no_such")
    with pytest.raises(TypeError, match="sigmas"):
        DDPMScheduler().set_timesteps(sigmas=[1.0, 0.5])
    with pytest.raises(AttributeError, match="'DDPMScheduler' object has no attribute 'no_such'"):
        DDPMScheduler().no_such


def test_signatures():
    # Programs choose by them what they pass.
    assert list(inspect.signature(EulerDiscreteScheduler.set_timesteps).parameters)[1:] == [
        "num_inference_steps", "device", "timesteps", "sigmas"]
    assert "timesteps" not in inspect.signature(DDIMScheduler().set_timesteps).parameters
    parameters = inspect.signature(DDPMScheduler.__init__).parameters
    assert list(parameters)[:3] == ["self", "num_train_timesteps", "beta_start"]
    assert parameters["beta_start"].default == 0.0001
    assert list(inspect.signature(DDPMScheduler).parameters)[0] == "num_train_timesteps"


def test_values_of_the_configuration_as_attributes():
    scheduler = DDPMScheduler()
    with pytest.warns(FutureWarning, match="config.beta_end"):
        assert scheduler.beta_end == 0.02
    scheduler.register_to_config(beta_end=0.03, note="kept")
    assert scheduler.config.beta_end == 0.03 and scheduler.config.note == "kept"
    assert math.isclose(float(scheduler.betas[-1]), 0.03, rel_tol=1e-6)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_the_noise_of_the_training(kind):
    scheduler = kind()
    if "beta_schedule" not in scheduler.config:
        assert not hasattr(scheduler, "betas") and not hasattr(scheduler, "alphas_cumprod")
        return
    betas, products = numpy.asarray(scheduler.betas), numpy.asarray(scheduler.alphas_cumprod)
    assert largest_difference(numpy.cumprod(1 - betas.astype(numpy.float64)), products) < 1e-6
    assert largest_difference(scheduler.alphas, 1 - betas) == 0


def test_the_position_in_a_run():
    scheduler = EulerDiscreteScheduler()
    scheduler.set_timesteps(3)
    assert scheduler.step_index is None and scheduler.begin_index is None
    scheduler.set_begin_index(1)
    scheduler.scale_model_input(sample, scheduler.timesteps[1])
    first = scheduler.step(sample, scheduler.timesteps[1], sample).prev_sample
    assert scheduler.begin_index == 1 and scheduler.step_index == 2
    scheduler._step_index = None
    assert largest_difference(scheduler.step(sample, scheduler.timesteps[1], sample).prev_sample, first) == 0


def test_steps_of_both_methods_of_pndm():
    chosen, named = PNDMScheduler(), PNDMScheduler()
    with pytest.raises(ValueError):
        named.step_plms(sample, 1, sample)
    chosen.set_timesteps(5)
    named.set_timesteps(5)
    assert len(named.prk_timesteps) == 12
    assert [*named.prk_timesteps, *named.plms_timesteps] == list(named.timesteps)
    for index, timestep in enumerate(chosen.timesteps):
        expected = chosen.step(sample, timestep, sample).prev_sample
        step = named.step_prk if index < 12 else named.step_plms
        assert largest_difference(step(sample, timestep, sample).prev_sample, expected) == 0


def test_methods_of_some_classes():
    ddpm = DDPMScheduler()
    ddpm.set_timesteps(timesteps=[100, 50, 0])
    assert [int(ddpm.previous_timestep(timestep)) for timestep in ddpm.timesteps] == [50, 0, -1]
    levels = oxidiff.CMStochasticIterativeScheduler().sigma_to_t([1.0, 80.0])
    assert largest_difference(levels, [0.0, 250 * math.log(80)]) < 1e-9

    score = oxidiff.ScoreSdeVeScheduler()
    score.set_timesteps(3, sampling_eps=0.1)
    score.set_sigmas(3)
    assert len(score.sigmas) == 3 and math.isclose(float(score.timesteps[-1]), 0.1, rel_tol=1e-6)
    corrected = score.step_correct(sample, sample, generator=oxidiff.Generator(0)).prev_sample
    output = score.step_pred(sample, score.timesteps[0], corrected, generator=oxidiff.Generator(0))
    assert output.prev_sample.shape == output.prev_sample_mean.shape == sample.shape
    mean, = score.step_pred(sample, 1.0, corrected, return_dict=False)[1:]
    assert largest_difference(mean, output.prev_sample_mean) == 0


def test_timesteps():
    scheduler = DDIMScheduler()
    assert len(scheduler.timesteps) == 1000 and len(scheduler) == 1000
    scheduler.set_timesteps(4)
    assert scheduler.timesteps.tolist() == [750, 500, 250, 0] and scheduler.num_inference_steps == 4
    euler = EulerDiscreteScheduler()
    euler.set_timesteps(3, device="cpu")
    assert euler.timesteps.tolist() == [999.0, 499.5, 0.0] and len(euler.sigmas) == 4
    assert math.isclose(float(euler.init_noise_sigma), 157.407, rel_tol=1e-4)
    assert EulerDiscreteScheduler in PNDMScheduler().compatibles


def test_a_step_returns_arrays_of_the_kind_given():
    def step(kind):
        scheduler = DDIMScheduler()
        scheduler.set_timesteps(10)
        output = scheduler.step(kind(sample) * 0.1, scheduler.timesteps[0], kind(sample))
        assert output[0] is output.prev_sample is output["prev_sample"]
        assert type(output.prev_sample) is type(kind(sample))
        assert type(output.pred_original_sample) is type(kind(sample))
        return output.prev_sample

    ours = step(lambda array: array)
    assert ours.dtype == numpy.float32
    assert largest_difference(step(oxidiff.Tensor).numpy(), ours) == 0
    assert step(lambda array: array.astype(numpy.float64)).dtype == numpy.float64
    assert step(lambda array: array.astype(numpy.float16)).dtype == numpy.float16


def test_steps_with_torch():
    torch = pytest.importorskip("torch")
    scheduler = DDIMScheduler()
    scheduler.set_timesteps(10)
    stepped = scheduler.step(torch.tensor(sample) * 0.1, scheduler.timesteps[0], torch.tensor(sample))[0]
    assert isinstance(stepped, torch.Tensor) and stepped.dtype == torch.float32
    assert isinstance(scheduler.timesteps, torch.Tensor) and scheduler.timesteps.dtype == torch.int64
    half = torch.tensor(sample).bfloat16()
    assert scheduler.step(half, 900, half)[0].dtype == torch.bfloat16


def test_steps_with_a_stand_in_for_mindspore(monkeypatch):
    import sys
    import types

    class Tensor:
        def __init__(self, array):
            self.array = array

        def asnumpy(self):
            return self.array

        @classmethod
        def from_numpy(cls, array):
            return cls(array)

    Tensor.__module__ = "mindspore.common.tensor"
    module = types.ModuleType("mindspore")
    module.Tensor = Tensor
    monkeypatch.setitem(sys.modules, "mindspore", module)
    stepped = DDPMScheduler().step(Tensor(sample), 0, Tensor(sample)).prev_sample
    assert isinstance(stepped, Tensor)
    assert largest_difference(stepped.asnumpy(), DDPMScheduler().step(sample, 0, sample)[0]) == 0


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_steps_leave_their_inputs_as_they_are(kind):
    scheduler = kind()
    # As in Python, SCM needs `intermediate_timesteps=None` for another number of steps.
    steps = 2 if kind.__name__ == "SCMScheduler" else 5
    scheduler.set_timesteps(steps)
    given, output = sample.copy(), sample * 0.1
    further = {"original_image": sample, "mask": sample} if kind.__name__ == "RePaintScheduler" else {}
    for timestep in list(scheduler.timesteps)[: min(steps, 3)]:
        scheduler.scale_model_input(given, timestep)
        scheduler.step(output, timestep, given, **further)
    assert largest_difference(given, sample) == 0 and largest_difference(output, sample * 0.1) == 0


def test_return_dict():
    output = DDPMScheduler().step(sample, 0, sample, return_dict=False)
    assert type(output) is tuple and output[0].shape == sample.shape


def test_noise_is_added():
    noisy = DDIMScheduler().add_noise(sample, numpy.ones_like(sample), numpy.array([500]))
    assert noisy.shape == sample.shape and largest_difference(noisy, sample) > 0.1
    packed = sample.reshape(1, 16, 16)
    assert DDIMScheduler().add_noise(packed, packed, 10).shape == packed.shape


def test_flows_scale_noise():
    scheduler = FlowMatchEulerDiscreteScheduler()
    noise = numpy.ones_like(sample)
    noisy = scheduler.scale_noise(sample, scheduler.timesteps[100:101], noise)
    sigma = float(scheduler.sigmas[100])
    assert largest_difference(noisy, (1 - sigma) * sample + sigma * noise) < 1e-5
    assert not hasattr(DDIMScheduler(), "scale_noise")


def test_devices():
    with pytest.raises(NotImplementedError, match="mps"):
        DDIMScheduler().set_timesteps(5, device="mps")


def test_copies_are_independent():
    scheduler = DDIMScheduler()
    copied = copy.deepcopy(scheduler)
    scheduler.set_timesteps(3)
    assert len(copied.timesteps) == 1000


def test_notebooks():
    assert "beta_end" in DDPMScheduler()._repr_html_() and "<table>" in DDPMScheduler().config._repr_html_()


def test_state_that_cannot_be_set():
    scheduler = oxidiff.DPMSolverMultistepScheduler()
    scheduler.set_timesteps(4)
    for name in ("timesteps", "sigmas", "model_outputs", "lower_order_nums", "num_inference_steps", "alphas_cumprod"):
        with pytest.raises(NotImplementedError, match=name):
            setattr(scheduler, name, None)
    with pytest.raises(NotImplementedError, match="model_outputs"):
        scheduler.model_outputs
    scheduler._begin_index = 2
    assert scheduler.begin_index == 2
    scheduler.note = "of the program"
    assert scheduler.note == "of the program" and not hasattr(scheduler, "no_such")


def test_numbers_that_must_not_be_negative():
    for call in (lambda: DDIMScheduler().set_timesteps(-1), lambda: EulerDiscreteScheduler().set_begin_index(-1)):
        with pytest.raises(ValueError, match="-1"):
            call()


@pytest.mark.parametrize("kind", [DDIMScheduler, EulerDiscreteScheduler, oxidiff.HeunDiscreteScheduler], ids=str)
def test_samples_of_few_dimensions(kind):
    schedulers = [kind() for _ in range(3)]
    flat = sample.reshape(-1)[:6]
    noisy, stepped = [], []
    for scheduler, values in zip(schedulers, (flat, flat.reshape(6, 1), flat[0])):
        scheduler.set_timesteps(4)
        timestep = scheduler.timesteps[0]
        scaled = scheduler.scale_model_input(values, timestep)
        noisy.append(scheduler.add_noise(values, values, timestep))
        stepped.append(scheduler.step(scaled * 0.5, timestep, values).prev_sample)
        assert noisy[-1].shape == stepped[-1].shape == values.shape
    for made in (noisy, stepped):
        assert largest_difference(made[0], made[1].reshape(-1)) == 0 and largest_difference(made[2], made[0][0]) < 1e-6


def test_samples_without_values_are_refused():
    scheduler = DDIMScheduler()
    scheduler.set_timesteps(2)
    empty = numpy.zeros((2, 3, 0, 4), numpy.float32)
    with pytest.raises(ValueError, match="no values"):
        scheduler.step(empty, 500, empty)


def test_indices_of_timesteps():
    heun = oxidiff.HeunDiscreteScheduler()
    heun.set_timesteps(4)
    assert heun.state_in_first_order
    # Each but the first stands in the run twice, and the second of them begins a step.
    assert heun.index_for_timestep(heun.timesteps[0]) == 0 and heun.index_for_timestep(heun.timesteps[1]) == 2
    with pytest.raises(IndexError):
        heun.index_for_timestep(12345)
    solver = oxidiff.DPMSolverMultistepScheduler()
    solver.set_timesteps(4)
    assert solver.index_for_timestep(12345) == 3
    heun.step(sample, heun.timesteps[0], sample)
    assert not heun.state_in_first_order


def test_levels_before_a_run():
    solver = oxidiff.UniPCMultistepScheduler()
    signal = numpy.asarray(solver.alphas_cumprod, numpy.float64)
    assert largest_difference(solver.sigmas, numpy.sqrt((1 - signal) / signal)) < 1e-4
    assert largest_difference(solver.lambda_t, 0.5 * numpy.log(signal / (1 - signal))) < 1e-5
    assert largest_difference(solver.alpha_t ** 2 + solver.sigma_t ** 2, numpy.ones(1000)) < 1e-6
    flow = FlowMatchEulerDiscreteScheduler(shift=3.0)
    bounds = flow.sigma_min, flow.sigma_max
    flow.set_timesteps(3)
    assert (flow.sigma_min, flow.sigma_max) == bounds == pytest.approx((0.0029940, 1.0), rel=1e-3)


def test_shifts_of_flows():
    flow = FlowMatchEulerDiscreteScheduler(shift_terminal=0.1)
    assert flow.shift == 1.0
    flow.set_shift(3.0)
    assert flow.shift == 3.0 and flow.config.shift == 1.0
    levels = numpy.linspace(1, 0.1, 5)
    shifted = flow.time_shift(0.7, 1.0, levels)
    assert largest_difference(shifted, math.exp(0.7) / (math.exp(0.7) + 1 / levels - 1)) < 1e-12
    stretched = flow.stretch_shift_to_terminal(levels * 0.8)
    assert stretched[-1] == pytest.approx(0.1)


def test_velocity_and_preconditioning():
    scheduler = DDPMScheduler()
    signal = float(scheduler.alphas_cumprod[300])
    with pytest.raises(ValueError, match="timesteps"):
        EulerDiscreteScheduler().get_velocity(sample, sample, numpy.array([3]))
    velocity = scheduler.get_velocity(sample, sample * 0.5, [300])
    assert largest_difference(velocity, (0.5 * signal**0.5 - (1 - signal) ** 0.5) * sample) < 1e-6
    assert not hasattr(PNDMScheduler(), "get_velocity")
    edm = oxidiff.EDMEulerScheduler()
    level, data = 2.0, edm.config.sigma_data
    total = level**2 + data**2
    assert largest_difference(edm.precondition_inputs(sample, level), sample / total**0.5) < 1e-6
    assert float(edm.precondition_noise(level)) == pytest.approx(math.log(2) / 4)
    expected = data**2 / total * sample + level * data / total**0.5 * (2 * sample)
    assert largest_difference(edm.precondition_outputs(sample, 2 * sample, level), expected) < 1e-6


def test_runs_that_go_back():
    scheduler = oxidiff.RePaintScheduler()
    scheduler.set_timesteps(20, 5, 3)
    assert max(numpy.diff(scheduler.timesteps.tolist())) > 0 and float(scheduler.final_alpha_cumprod) == 1.0
    back = [scheduler.undo_step(sample, 100, generator=oxidiff.Generator(0)) for _ in range(2)]
    assert largest_difference(*back) == 0 and largest_difference(back[0], sample) > 0.1


def test_arguments_of_other_training():
    heun = oxidiff.HeunDiscreteScheduler()
    heun.set_timesteps(4, None, 500)
    assert float(heun.timesteps[0]) == 499
    with pytest.raises(ValueError, match="num_train_timesteps"):
        heun.set_timesteps(4, num_train_timesteps=0)


def test_tokens_with_timesteps_of_their_own():
    flow = FlowMatchEulerDiscreteScheduler()
    flow.set_timesteps(4)
    tokens = numpy.ones((1, 3, 2), numpy.float32)
    timesteps = numpy.array([[1000.0, 500.0, 0.0]], numpy.float32)
    stepped = flow.step(tokens, flow.timesteps[0], tokens, per_token_timesteps=timesteps).prev_sample
    assert stepped.shape == tokens.shape and largest_difference(stepped[0, 2], tokens[0, 2]) < 1e-6
    assert largest_difference(stepped[0, 0], tokens[0, 0]) > 0.1


def test_configurations_in_files(tmp_path):
    scheduler = DDIMScheduler(beta_end=0.03)
    scheduler.to_json_file(tmp_path / "scheduler_config.json")
    assert DDIMScheduler.from_pretrained(tmp_path).config.beta_end == 0.03
