"""A seed means the noise of PyTorch's CPU generator, and a generator continues where the call before stopped."""

import copy
import pickle

import numpy
import pytest
from conftest import largest_difference

import oxidiff
from oxidiff import DDPMScheduler, Generator


def images(pipeline, **arguments):
    return pipeline("a red apple", num_inference_steps=2, output_type="np", **arguments).images


def test_a_seed_means_the_numbers_of_pytorch():
    noise = oxidiff.randn(2, generator=Generator(0))
    assert noise.tolist() == pytest.approx([1.5409961, -0.2934289])
    assert oxidiff.randn(2, generator=Generator("cpu").manual_seed(0)).tolist() == noise.tolist()


def test_calls_continue(pipeline):
    generator = Generator(3)
    first, second = images(pipeline, generator=generator), images(pipeline, generator=generator)
    assert largest_difference(first, second) > 1e-3
    generator.manual_seed(3)
    assert largest_difference(images(pipeline, generator=generator), first) == 0
    state = generator.get_state()
    assert largest_difference(images(pipeline, generator=generator), second) == 0
    assert largest_difference(images(pipeline, generator=Generator().set_state(state)), second) == 0


def test_one_generator_for_each_image(pipeline):
    both = images(pipeline, num_images_per_prompt=2, generator=[Generator(1), Generator(2)])
    second = images(pipeline, generator=Generator(2))
    assert largest_difference(both[1:], second) < 1e-5


def test_the_default_generator(pipeline):
    oxidiff.manual_seed(5)
    first = images(pipeline)
    assert largest_difference(first, images(pipeline)) > 1e-3
    oxidiff.manual_seed(5)
    assert largest_difference(images(pipeline), first) == 0
    assert largest_difference(images(pipeline, generator=Generator(5)), first) == 0


def test_generators_of_numpy_are_refused(pipeline):
    with pytest.raises(TypeError, match="oxidiff.Generator"):
        images(pipeline, generator=numpy.random.default_rng(0))
    with pytest.raises(TypeError, match="generator"):
        images(pipeline, generator=0)


def test_generators_of_torch(pipeline):
    torch = pytest.importorskip("torch")
    theirs, ours = torch.Generator().manual_seed(7), Generator(7)
    # Also after an odd number of draws, which leaves half of a pair of normal samples.
    for count in (0, 3, 1):
        torch.randn(count, generator=theirs)
        oxidiff.randn(count, generator=ours)
        assert largest_difference(images(pipeline, generator=theirs), images(pipeline, generator=ours)) == 0
        assert torch.randn(5, generator=theirs).tolist() == oxidiff.randn(5, generator=ours).tolist()


def test_the_state_of_torch_is_written_back(tmp_path):
    torch = pytest.importorskip("torch")
    scheduler = DDPMScheduler()
    sample = torch.zeros(1, 3, 5, 7)
    for seed, before in [(0, 0), (1, 5), (2, 1000)]:
        used, expected = (torch.Generator().manual_seed(seed) for _ in range(2))
        for generator in (used, expected):
            torch.randn(before, generator=generator)
        scheduler.step(sample, 5, sample, generator=used)
        torch.randn(1, 3, 5, 7, generator=expected)
        assert torch.randn(700, generator=used).tolist() == torch.randn(700, generator=expected).tolist()


def test_a_generator_that_stands_in_a_list_twice(pipeline):
    shared = Generator(1)
    both = images(pipeline, num_images_per_prompt=2, generator=[shared, shared])
    assert largest_difference(both[0], both[1]) > 1e-3
    # Item by item, as long as nothing but the latents is drawn.
    generator = Generator(1)
    shape = (1, pipeline.unet.config.in_channels, *[pipeline.unet.config.sample_size] * 2)
    latents = oxidiff.cat([oxidiff.randn(*shape, generator=generator) for _ in range(2)])
    assert largest_difference(both, images(pipeline, num_images_per_prompt=2, latents=latents)) < 1e-5
    assert oxidiff.randn(3, generator=shared).tolist() == oxidiff.randn(3, generator=generator).tolist()


def test_noise_as_diffusers_draws_it():
    from oxidiff.utils.torch_utils import randn_tensor

    noise = randn_tensor((2, 3), generator=[Generator(1), Generator(2)])
    assert largest_difference(noise[1], oxidiff.randn(3, generator=Generator(2))) == 0
    assert largest_difference(randn_tensor((2, 3), generator=Generator(1)), oxidiff.randn(2, 3, generator=Generator(1))) == 0
    with pytest.raises(ValueError, match="generators"):
        randn_tensor((3, 3), generator=[Generator(1), Generator(2)])


def test_copies_of_generators():
    generator = Generator(4)
    oxidiff.randn(3, generator=generator)
    for copied in (copy.copy(generator), copy.deepcopy(generator), pickle.loads(pickle.dumps(generator))):
        assert copied.initial_seed() == 4 and copied.get_state() == generator.get_state()
        oxidiff.randn(1, generator=copied)
        assert copied.get_state() != generator.get_state()
