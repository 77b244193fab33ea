"""`oxidiff.Tensor`: what programs without numpy and torch compute with, checked against numpy."""

import pickle

import numpy
import pytest
from conftest import largest_difference

import oxidiff
from oxidiff import Tensor

values = numpy.random.default_rng(0).standard_normal((2, 3, 4)).astype(numpy.float32)
tensor = Tensor(values)


def test_attributes():
    assert tensor.shape == (2, 3, 4) and tensor.ndim == 3 and tensor.numel() == 24 and len(tensor) == 2
    assert tensor.dtype == oxidiff.float32 and repr(tensor.dtype) == "oxidiff.float32"
    assert tensor.size(-1) == 4 and tensor.device == "cpu"
    assert tensor.tolist() == values.tolist()


def test_memory_is_shared_with_numpy():
    array = numpy.arange(6, dtype=numpy.float32)
    shared = Tensor(array)
    array[0] = 7
    assert shared[0].item() == 7
    assert numpy.shares_memory(shared.numpy(), array)
    view = numpy.arange(6, dtype=numpy.float32).reshape(2, 3).T
    assert Tensor(view).tolist() == view.tolist()
    reversed_ = numpy.arange(6, dtype=numpy.int16)[::-1]
    assert Tensor(reversed_).tolist() == reversed_.tolist()
    array.flags.writeable = False
    assert Tensor(array).tolist() == array.tolist()


def test_views():
    assert largest_difference(tensor.permute(2, 0, 1), values.transpose(2, 0, 1)) == 0
    assert largest_difference(tensor.permute([1, 0, 2]), values.transpose(1, 0, 2)) == 0
    assert largest_difference(tensor.transpose(0, -1), values.transpose(2, 1, 0)) == 0
    assert largest_difference(tensor.reshape(4, -1), values.reshape(4, -1)) == 0
    assert largest_difference(tensor.flatten(1), values.reshape(2, 12)) == 0
    assert tensor.unsqueeze(0).squeeze().shape == tensor.shape
    assert largest_difference(tensor[0:1].expand(5, -1, -1), numpy.repeat(values[:1], 5, 0)) == 0
    first, second = tensor.chunk(2, dim=-1)
    assert largest_difference(oxidiff.cat([second, first], -1), numpy.concatenate([values[..., 2:], values[..., :2]], -1)) == 0
    assert largest_difference(oxidiff.stack([tensor, tensor], 1), numpy.stack([values, values], 1)) == 0


@pytest.mark.parametrize("index", [0, -1, (slice(None), 1), (..., 2), (1, slice(0, 3, 2)), (None, 1, ..., 0), slice(1, None)])
def test_indexing(index):
    assert largest_difference(tensor[index], values[index]) == 0


def test_indices_out_of_range():
    with pytest.raises(IndexError):
        tensor[2]
    with pytest.raises(IndexError):
        tensor[0, 0, 0, 0]
    with pytest.raises(TypeError):
        tensor["a"]


def test_iteration():
    assert [item.shape for item in tensor] == [(3, 4), (3, 4)]


@pytest.mark.parametrize("other", [2, 0.5, values[0], Tensor(values[:, :1]), values[0, 0, 0]])
def test_arithmetic(other):
    array = numpy.asarray(other)
    for ours, theirs in [
        (tensor + other, values + array), (other - tensor, array - values), (tensor * other, values * array),
        (tensor / other, values / array), (tensor > other, values > array), (tensor == other, values == array),
        (tensor // other, values // array), (tensor % other, values % array),
    ]:
        assert isinstance(ours, Tensor)
        assert largest_difference(ours, theirs) < 1e-5


def test_functions():
    for name in ("abs", "exp", "sin", "cos", "tanh", "round", "floor"):
        theirs = getattr(numpy, name)(values)
        assert largest_difference(getattr(tensor, name)(), theirs) < 1e-5
    assert largest_difference(tensor.abs().sqrt(), numpy.sqrt(abs(values))) < 1e-5
    assert largest_difference(tensor.clamp(-0.5, 0.5), values.clip(-0.5, 0.5)) == 0
    assert largest_difference(-tensor, -values) == 0
    assert largest_difference(tensor**2, values**2) < 1e-5
    assert largest_difference(tensor @ tensor.transpose(1, 2), values @ values.transpose(0, 2, 1)) < 1e-5


@pytest.mark.parametrize("dim", [None, 0, -1, (0, 2)])
def test_reductions(dim):
    assert largest_difference(tensor.mean(dim), values.mean(dim)) < 1e-5
    assert largest_difference(tensor.sum(dim, keepdim=True), values.sum(dim, keepdims=True)) < 1e-5
    assert largest_difference(tensor.std(dim), values.std(dim, ddof=1)) < 1e-5
    assert largest_difference(tensor.amax(dim), values.max(dim)) == 0
    assert tensor.min().item() == values.min()


def test_whole_numbers():
    whole = oxidiff.arange(10)
    assert whole.dtype == oxidiff.int64 and (whole // 3).tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]
    assert (-whole // 4)[1].item() == -1
    assert (whole / 4).dtype == oxidiff.float32
    assert int(whole[3]) == 3 and float(whole[3]) == 3.0 and list(range(9))[whole[3]] == 3
    assert bool(whole[0] == 0)
    with pytest.raises(TypeError):
        list(range(9))[Tensor(1.5)]


def test_names_of_types():
    assert oxidiff.float16 == numpy.float16 and oxidiff.float16 == numpy.dtype("float16") and oxidiff.float16 == "float16"
    assert oxidiff.float16 != oxidiff.float32 and oxidiff.float16 != 3 and oxidiff.float16 in {oxidiff.float16}
    assert pickle.loads(pickle.dumps(oxidiff.float16)) == oxidiff.float16


def test_types():
    for name in ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool"):
        array = numpy.ones((2, 2), dtype=name)
        assert Tensor(array).dtype.name == name
        assert Tensor(array).numpy().dtype == array.dtype
    assert tensor.half().dtype == oxidiff.float16 and tensor.to(oxidiff.bfloat16).numpy().dtype == numpy.float32
    assert tensor.to("cpu", numpy.float16).dtype == oxidiff.float16
    assert largest_difference(tensor.to(oxidiff.bfloat16).float(), values) < 0.02
    copied = tensor.to("cpu", copy=True)
    assert copied.tolist() == tensor.tolist() and not numpy.shares_memory(copied.numpy(), tensor.numpy())
    with pytest.raises(NotImplementedError, match="cuda"):
        tensor.to("cuda")


def test_lists():
    assert Tensor([[1, 2], [3, 4]]).dtype == oxidiff.int64
    assert Tensor([[1.0, 2], [3, 4]]).dtype == oxidiff.float32
    assert Tensor([]).shape == (0,)
    with pytest.raises(ValueError):
        Tensor([[1], [2, 3]])


def test_printing():
    assert repr(Tensor([[1.0, 0.25], [2.0, 3.0]])) == "tensor([[1., 0.2500],\n        [2., 3.]])"
    assert "..." in repr(oxidiff.zeros(2000))


def test_pickling():
    assert largest_difference(pickle.loads(pickle.dumps(tensor)), values) == 0


def test_torch():
    torch = pytest.importorskip("torch")
    assert oxidiff.bfloat16 == torch.bfloat16 and torch.bfloat16 == oxidiff.bfloat16
    theirs = torch.arange(6.0).reshape(2, 3)
    ours = Tensor(theirs)
    theirs[0, 0] = 9
    assert ours[0, 0].item() == 9
    back = torch.from_dlpack(ours)
    assert back.data_ptr() == theirs.data_ptr()
    assert Tensor(theirs.to(torch.bfloat16)).dtype == oxidiff.bfloat16
    assert Tensor(torch.ones(2, requires_grad=True)).tolist() == [1, 1]
