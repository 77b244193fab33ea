"""NVIDIA cards. The interpreter of plans, a device for tests, stands for one: what is planned for a card runs on the CPU there."""

import copy

import numpy
import pytest
from conftest import FIXTURES, largest_difference

import oxidiff
from oxidiff import (
    AutoencoderKL,
    CLIPTextModel,
    ControlNetModel,
    DDIMScheduler,
    DiffusionPipeline,
    Generator,
    HunyuanDiT2DControlNetModel,
    MultiControlNetModel,
    QuantizationConfig,
    StableDiffusionPipeline,
    T2IAdapter,
    UNet2DConditionModel,
    _moving_pipelines,
    _oxidiff,
)
from oxidiff._devices import device_name
from oxidiff.quantizers import PipelineQuantizationConfig

SD1 = FIXTURES / "pipelines" / "sd1"
LORA = FIXTURES / "formats" / "lora"

without_card = pytest.mark.skipif(_oxidiff.has_card(), reason="this machine has a card")
with_card = pytest.mark.skipif(not _oxidiff.has_card(), reason="this machine has no card")


def quiet(pipeline):
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture
def small():
    return quiet(DiffusionPipeline.from_pretrained(SD1))


def image(pipeline):
    return pipeline("a red apple", num_inference_steps=2, height=32, width=32, output_type="np", generator=Generator(4)).images


def devices(pipeline):
    return [str(model.device) for model in (pipeline.text_encoder, pipeline.unet, pipeline.vae)]


def test_the_embedded_model_gives_the_image_of_the_cpu(emoji):
    pipeline = quiet(DiffusionPipeline.from_pretrained(emoji))
    before = image(pipeline)
    pipeline._place("interpreter")
    assert devices(pipeline) == ["interpreter"] * 3 and str(pipeline.device) == "interpreter"
    planned = image(pipeline)
    assert 0 < largest_difference(planned, before) < 1e-3
    assert pipeline.to("cpu") is pipeline
    assert devices(pipeline) == ["cpu"] * 3 and str(pipeline.device) == str(pipeline._execution_device) == "cpu"
    assert largest_difference(image(pipeline), before) == 0


def test_models_move_by_themselves(small):
    sample, text = numpy.ones((1, 4, 8, 8), numpy.float32), numpy.ones((1, 7, small.unet.config.cross_attention_dim), numpy.float32)
    before = small.unet(sample, 300, text).sample
    small.unet._place("interpreter")
    assert devices(small) == ["cpu", "interpreter", "cpu"] and str(small.device) == "interpreter"
    assert largest_difference(small.unet(sample, 300, text).sample, before) < 1e-4
    copied = copy.copy(small.unet)
    assert small.unet.cpu() is small.unet
    assert str(small.unet.device) == "cpu" and str(copied.device) == "interpreter"
    assert largest_difference(copied(sample, 300, text).sample, before) < 1e-4


def test_pipelines_that_share_models_share_where_they_are(small):
    small._place("interpreter")
    again = quiet(StableDiffusionPipeline(**small.components))
    assert again.unet is small.unet and str(again.device) == "interpreter"
    small.cpu()
    assert str(again.device) == "cpu"
    assert largest_difference(image(again), image(small)) == 0


def test_element_types(small):
    small._place("interpreter")
    small.to("bfloat16")
    assert devices(small) == ["interpreter"] * 3 and "bfloat16" in str(small.unet.dtype)
    small.to("cpu", "float32")
    assert devices(small) == ["cpu"] * 3 and "float32" in str(small.unet.dtype)


@pytest.mark.parametrize("moves_first", [True, False])
def test_loras(small, moves_first):
    on_cpu = quiet(DiffusionPipeline.from_pretrained(SD1))
    plain = image(on_cpu)
    on_cpu.load_lora_weights(LORA / "kohya.safetensors")
    if moves_first:
        small._place("interpreter")
        assert largest_difference(image(small), plain) < 1e-3
    small.load_lora_weights(LORA / "kohya.safetensors")
    small._place("interpreter")
    assert devices(small) == ["interpreter"] * 3
    assert largest_difference(image(small), image(on_cpu)) < 1e-3 < largest_difference(image(small), plain)
    small.cpu()
    assert largest_difference(image(small), image(on_cpu)) < 1e-6
    small._place("interpreter")
    small.unload_lora_weights()
    assert devices(small) == ["interpreter"] * 3 and largest_difference(image(small), plain) < 1e-3


def test_offloading(small, monkeypatch):
    monkeypatch.setattr(_oxidiff, "has_card", lambda: True)
    monkeypatch.setattr(_moving_pipelines, "device_name", lambda device: {"cuda": "interpreter"}.get(device) or device_name(device))
    before = image(small)
    try:
        for enable in (small.enable_model_cpu_offload, small.enable_sequential_cpu_offload):
            small.cpu()
            enable(device="cuda")
            assert str(small.device) == "interpreter"
            assert largest_difference(image(small), before) < 1e-3
        with pytest.raises(ValueError, match="gpu_id"):
            small.enable_model_cpu_offload(gpu_id=0, device="cuda:1")
    finally:
        small.remove_all_hooks()
    small.maybe_free_model_hooks()
    small.reset_device_map()
    assert str(small.device) == "cpu"


def test_what_stays_on_the_cpu_says_so(flux):
    pipeline = DiffusionPipeline.from_pretrained(flux)
    pipeline._place("interpreter")
    assert [str(pipeline.transformer.device), str(pipeline.text_encoder_2.device)] == ["interpreter"] * 2
    assert str(pipeline.device) == "interpreter"
    adapter = T2IAdapter.from_config({"channels": [4, 8], "num_res_blocks": 1, "downscale_factor": 2})
    adapter._place("interpreter")
    assert str(adapter.device) == "cpu"


def test_a_class_that_does_not_go_to_cards_says_so():
    config = {"num_attention_heads": 2, "attention_head_dim": 4, "hidden_size": 8, "transformer_num_layers": 2, "sample_size": 4}
    model = HunyuanDiT2DControlNetModel.from_config(config)
    with pytest.raises(NotImplementedError, match="HunyuanDiT2DControlNetModel on a card"):
        model._place("interpreter")
    assert str(model.cpu().device) == "cpu"


def test_none_is_moved_where_one_cannot_be(emoji):
    config = PipelineQuantizationConfig(quant_mapping={"unet": QuantizationConfig("q8_0")})
    pipeline = DiffusionPipeline.from_pretrained(emoji, quantization_config=config)
    with pytest.raises(NotImplementedError, match="quantised weights on a card"):
        pipeline._place("interpreter")
    assert devices(pipeline) == ["cpu"] * 3


@without_card
@pytest.mark.parametrize("move", [
    lambda pipeline: pipeline.to("cuda"), lambda pipeline: pipeline.cuda(1), lambda pipeline: pipeline.unet.to("cuda:1"),
    lambda pipeline: pipeline.unet.cuda(), lambda pipeline: pipeline.to("cuda", "float16"),
    lambda pipeline: DiffusionPipeline.from_pretrained(SD1, device_map="cuda"),
    lambda pipeline: UNet2DConditionModel.from_pretrained(SD1, subfolder="unet", device_map="cuda:0"),
])
def test_without_a_card(small, move):
    with pytest.raises(RuntimeError, match="NVIDIA driver|no card"):
        move(small)
    assert devices(small) == ["cpu"] * 3 and small.unet.dtype == small.vae.dtype


@without_card
def test_scripts_that_offload_run_without_a_card(small):
    small.enable_model_cpu_offload()
    small.enable_sequential_cpu_offload(gpu_id=1)
    small.remove_all_hooks()
    assert str(small.device) == "cpu"


@with_card
def test_a_card_gives_the_image_of_the_cpu(emoji):
    pipeline = quiet(DiffusionPipeline.from_pretrained(emoji))
    before = image(pipeline)
    assert str(pipeline.to("cuda").device) == "cuda:0"
    assert largest_difference(image(pipeline), before) < 1e-3
    pipeline.enable_sequential_cpu_offload()
    assert largest_difference(image(pipeline), before) < 1e-3
    pipeline.remove_all_hooks()
    loaded = quiet(DiffusionPipeline.from_pretrained(emoji, device_map="cuda"))
    assert devices(loaded) == ["cuda:0"] * 3
    assert largest_difference(image(loaded, 64), before) < 1e-3


def test_other_accelerators(small):
    for device in ("mps", "xpu:0", "npu", "meta"):
        with pytest.raises(NotImplementedError, match=device):
            small.to(device)
        with pytest.raises(NotImplementedError, match=device):
            small.vae.to(device=device)


def test_names_of_devices():
    assert [device_name(name) for name in ("cpu", "CPU", "cpu:0", "cuda", "cuda:1", "CUDA:0", 2)] == [
        "cpu", "cpu", "cpu", "cuda:0", "cuda:1", "cuda:0", "cuda:2"]
    torch = pytest.importorskip("torch")
    assert device_name(torch.device("cuda", 1)) == "cuda:1" and device_name(torch.device("cuda")) == "cuda:0"


def test_arrays_stay_on_the_cpu():
    tensor = oxidiff.randn(2, 2, generator=Generator(0))
    for device in ("cuda", "cuda:1"):
        assert tensor.to(device).tolist() == tensor.tolist() and tensor.to(device, "float16").dtype == oxidiff.float16
        assert tensor.to(device).device == "cpu"
    scheduler = DDIMScheduler()
    scheduler.set_timesteps(5, device="cuda")
    assert len(scheduler.timesteps) == 5


def test_arrays_of_torch_on_a_card_are_copied():
    torch = pytest.importorskip("torch")

    class OnCard:
        """A tensor as torch has it on a card, as far as it is read here."""

        is_cuda, requires_grad = True, False

        def cpu(self):
            return torch.ones(1, 3, 16, 16)

        def __dlpack__(self):
            raise BufferError

    OnCard.__module__ = "torch"
    vae = AutoencoderKL.from_pretrained(SD1, subfolder="vae")
    found = vae.encode(OnCard()).latent_dist.mean
    assert isinstance(found, torch.Tensor) and largest_difference(found, vae.encode(torch.ones(1, 3, 16, 16)).latent_dist.mean) == 0


def test_generators_draw_on_the_cpu():
    with pytest.raises(ValueError, match=r'Generator\("cpu"\)'):
        Generator(device="cuda")
    assert isinstance(Generator("cpu"), Generator)


def test_text_encoders(small):
    words = numpy.array([[1, 2, 3]])
    encoder = CLIPTextModel.from_pretrained(SD1, subfolder="text_encoder")
    encoder._place("interpreter")
    assert largest_difference(encoder(words).last_hidden_state, small.text_encoder(words).last_hidden_state) < 1e-4


def test_factors_are_rounded_to_tf32_where_the_program_says_so(small):
    images = {}
    small._place("interpreter")
    try:
        for precision in ("highest", "high", "highest"):
            oxidiff.set_float32_matmul_precision(precision)
            images.setdefault(precision, []).append(small.vae.decode(numpy.ones((1, 4, 4, 4), numpy.float32) / 3).sample)
    finally:
        oxidiff.set_float32_matmul_precision("highest")
    first, last = images["highest"]
    assert largest_difference(first, last) == 0
    assert 1e-6 < largest_difference(first, images["high"][0]) < 1e-2
    with pytest.raises(ValueError, match="'highest'"):
        oxidiff.set_float32_matmul_precision("lowest")


def test_dit_moves_and_is_converted():
    pipeline = quiet(DiffusionPipeline.from_pretrained(FIXTURES / "unconditional" / "pipelines" / "dit"))

    def call():
        return pipeline(class_labels=[1], num_inference_steps=2, generator=Generator().manual_seed(1), output_type="np").images

    expected = call()
    pipeline._place("interpreter")
    assert largest_difference(call(), expected) < 1e-3
    pipeline.to("cpu")
    assert largest_difference(call(), expected) == 0
    assert largest_difference(pipeline.to("bfloat16") and call(), expected) < 0.2


def test_image_projections_of_ip_adapters_are_converted_with_the_model():
    pipeline = quiet(DiffusionPipeline.from_pretrained(SD1))
    folder = {"subfolder": "models", "weight_name": "ip-adapter_sd15.safetensors", "image_encoder_folder": "image_encoder"}
    pipeline.load_ip_adapter(FIXTURES / "ip_adapter", **folder)
    picture = numpy.full((40, 40, 3), 0.3, numpy.float32)

    def call():
        return pipeline("a", num_inference_steps=1, height=32, width=32, ip_adapter_image=picture, generator=Generator().manual_seed(1),
                        output_type="np").images

    expected = call()
    pipeline.to("bfloat16")
    assert largest_difference(call(), expected) < 0.1
    pipeline._place("interpreter")
    assert largest_difference(call(), expected) < 0.1


def test_several_controlnets_are_those_that_another_pipeline_changed():
    folder = FIXTURES / "controlnet"
    nets = [ControlNetModel.from_pretrained(folder / name) for name in ("controlnet", "controlnet_1")]
    several = MultiControlNetModel(nets)
    nets[0]._core = nets[0]._core.copy()
    for net in several.nets:
        net._place("interpreter")
    assert [core.card for core in several._core] == ["interpreter"] * 2
