"""`oxidiff.Tensor`: what programs without numpy and torch compute with, checked against numpy."""

import contextlib
import copy
import operator
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
    with pytest.raises(NotImplementedError, match="mps"):
        tensor.to("mps")


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


@pytest.mark.parametrize("number", [2**40, 2**53 + 1, -(2**63), 2**63 - 1])
def test_large_whole_numbers(number):
    large = Tensor([number])
    assert large.item() == number and int(large) == number and Tensor(number, dtype="int64").tolist() == number
    assert pickle.loads(pickle.dumps(large)).item() == number and copy.deepcopy(large).item() == number
    assert large.max().item() == large.amin().item() == large.sum().item() == number
    assert (large // 1).item() == number


def test_numbers_keep_their_digits():
    assert Tensor([3e9]).to(oxidiff.int64).item() == 3_000_000_000
    assert Tensor([2**40 + 1]).to(oxidiff.float64).item() == 2**40 + 1
    assert Tensor([0.1], dtype="float64").item() == 0.1
    assert pickle.loads(pickle.dumps(Tensor([0.1], dtype="float64"))).item() == 0.1
    assert Tensor([-1.5, 300.7]).to("uint8").tolist() == [255, 44]
    assert Tensor([2**63, 0.5]).dtype == oxidiff.float32
    for number in (float("nan"), float("inf")):
        with pytest.raises((ValueError, OverflowError)):
            int(Tensor(number))


@pytest.mark.parametrize("make", [
    lambda: Tensor([2**63]), lambda: Tensor([1, -(2**63) - 1]), lambda: Tensor([10**400, 0.5]),
    lambda: Tensor([2**40], dtype="int32"), lambda: Tensor([300], dtype="uint8"), lambda: oxidiff.arange(3) + 2**63,
])
def test_numbers_that_do_not_fit(make):
    with pytest.raises(OverflowError):
        make()


@pytest.mark.parametrize("make", [
    lambda: oxidiff.zeros(2**46), lambda: oxidiff.ones(2**46, dtype="int8"), lambda: oxidiff.randn(2**46),
    lambda: oxidiff.arange(2**46), lambda: oxidiff.zeros(1).expand(2**46),
    lambda: oxidiff.ones(2**23, 1) + oxidiff.ones(1, 2**23), lambda: oxidiff.ones(2**23, 1) @ oxidiff.ones(1, 2**23),
    lambda: oxidiff.zeros(2**46, 0).tolist(),
])
def test_memory_that_is_not_there(make):
    with pytest.raises(MemoryError):
        make()


def test_shapes_that_are_too_large():
    itself = []
    itself.append(itself)
    for make in (
        lambda: oxidiff.zeros(2**40, 2**40), lambda: oxidiff.randn(2**40, 2**40), lambda: oxidiff.zeros(2**62, 16, 0),
        lambda: oxidiff.zeros(1).expand(2**62, 16), lambda: oxidiff.zeros(0).reshape(2**32, 2**32),
        lambda: oxidiff.zeros([1] * 1000), lambda: oxidiff.zeros(1).reshape([1] * 1000), lambda: Tensor(itself),
    ):
        with pytest.raises(ValueError):
            make()


def test_ranges_at_the_ends():
    assert oxidiff.arange(2**63 - 3, 2**63 - 1, 2**62).tolist() == [2**63 - 3]
    assert oxidiff.arange(-(2**63), 2**63 - 1, 2**63 - 1).tolist() == [-(2**63), -1, 2**63 - 2]
    assert oxidiff.arange(-(2**63) + 1, -(2**63), -(2**62)).tolist() == [-(2**63) + 1]
    assert oxidiff.arange(7, 0, -3).tolist() == [7, 4, 1] and oxidiff.arange(3, 0).shape == (0,)


def test_division_of_whole_numbers():
    for operation in (operator.floordiv, operator.mod):
        for divisor in (0, Tensor(0), Tensor([1, 0, 1])):
            with pytest.raises(ZeroDivisionError):
                operation(oxidiff.arange(3), divisor)
        assert operation(oxidiff.zeros(0, dtype="int64"), 0).shape == (0,)
    assert (oxidiff.arange(-(2**63), -(2**63) + 1) // -1).item() == -(2**63)
    numbers, divisors = numpy.arange(-7, 8)[:, None], numpy.array([-3, -1, 2, 5])
    assert (Tensor(numbers) // Tensor(divisors)).tolist() == (numbers // divisors).tolist()
    assert (Tensor(numbers) % Tensor(divisors)).tolist() == (numbers % divisors).tolist()


OPERATORS = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow,
    operator.matmul, operator.lt, operator.le, operator.eq, operator.ne, operator.gt, operator.ge,
]
METHODS = [
    name for name in dir(Tensor)
    if callable(getattr(Tensor, name)) and (not name.startswith("_") or name in (
        "__abs__", "__bool__", "__float__", "__index__", "__int__", "__iter__", "__len__", "__neg__", "__reduce__",
        "__repr__", "__round__", "__format__", "__dlpack__",
    ))
]


@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (2, 0), (3,)])
def test_no_operation_panics(shape):
    # What is refused is an `Exception`; a panic is not.
    refused = contextlib.suppress(Exception)
    others = [(), (0,), (0, 3), (2, 0), (1,), (0, 3, 4), (1, 4, 5)]
    for name in ("float32", "bfloat16", "int64", "uint8", "bool"):
        zeros = oxidiff.zeros(shape, dtype=name)
        for method in METHODS:
            for arguments in [(), (0,), (-1,), (1,), (0, 1), (-1, 0), ((0, 1),), ("",), (oxidiff.float16,)]:
                with refused:
                    getattr(zeros, method)(*arguments)
                with refused:
                    getattr(zeros, method)(*arguments, keepdim=True)
        for index in (0, None, ..., True, slice(5, 9), [], [0], zeros > 0, zeros == 0, zeros.long(), (0, [0]), ([0], [0])):
            with refused:
                zeros[index].tolist()
        for other in [0, 1, -1, 0.5, *(oxidiff.zeros(length, dtype=kind) for length in others for kind in ("float32", "int64"))]:
            for operation in OPERATORS:
                with refused:
                    operation(zeros, other)
                with refused:
                    operation(other, zeros)
            if isinstance(other, Tensor):
                for function in (oxidiff.cat, oxidiff.stack):
                    for dim in (0, 1, -1):
                        with refused:
                            function([zeros, other.to(name)], dim)


def test_results_of_nothing():
    nothing = oxidiff.zeros(0, 3)
    assert nothing.sum(0).tolist() == [0, 0, 0] and nothing.sum(1).shape == (0,)
    assert numpy.isnan([nothing.mean().item(), nothing.var().item(), nothing.std(0)[1].item()]).all()
    assert nothing.amax(1).shape == (0,) and nothing.argmin(1, keepdim=True).shape == (0, 1)
    for extreme in (nothing.max, nothing.min, nothing.amax, nothing.amin):
        with pytest.raises(ValueError):
            extreme()
    for extreme in (nothing.amax, nothing.amin, nothing.argmax, nothing.argmin):
        with pytest.raises(IndexError):
            extreme(0)
    assert (oxidiff.ones(2, 0) @ oxidiff.ones(0, 3)).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert (oxidiff.ones(0, 3, 4) @ oxidiff.ones(1, 4, 5)).shape == (0, 3, 5)
    with pytest.raises(ValueError):
        oxidiff.ones(2, 3, 4) @ oxidiff.ones(3, 4, 5)
    assert [part.shape for part in nothing.chunk(2)] == [(0, 3), (0, 3)]
    assert repr(nothing) == "tensor([], size=(0, 3))" and nothing.flip(0).shape == (0, 3)
    with pytest.raises(ValueError):
        nothing.reshape(0, -1)
    for name in ("float32", "bfloat16", "int8", "bool"):
        back = pickle.loads(pickle.dumps(oxidiff.zeros(0, 3, dtype=name)))
        assert back.shape == (0, 3) and back.dtype.name == name


def test_formats():
    assert f"{Tensor(1.5):.1f}" == "1.5" and f"{Tensor(3):4d}" == "   3" and f"{Tensor([1.75]):.0f}" == "2"
    assert f"{Tensor(1.5)}" == "1.5" and f"{tensor}" == repr(tensor) and str(Tensor(1.0)) == "tensor(1.)"
    with pytest.raises(TypeError):
        f"{tensor:.1f}"
    assert round(Tensor(2.6)) == 3 and isinstance(round(Tensor(2.6)), int) and round(Tensor([2.75]), 1) == 2.8
    assert largest_difference(round(tensor), values.round()) == 0
    with pytest.raises(TypeError):
        round(tensor, 1)


@pytest.mark.parametrize("index", [
    values > 0, numpy.array([False, True]), values[:, :, 0] > 0, values > 9, (slice(None), numpy.array([True, False, True])),
    (slice(None), slice(None), values[0, 0] > 0), numpy.array([1, 0, 1]), numpy.array([-1]), numpy.array([[1, 0], [0, 0]]),
    (numpy.array([0, 1]), numpy.array([2, 1])), (numpy.array([0, 1]), slice(None), numpy.array([2, 1])),
    (numpy.array([[0], [1]]), numpy.array([2, 1, 0])), (..., numpy.array([3, 0])), (None, numpy.array([1])), (0, numpy.array([2, 0])),
    (slice(None), numpy.array([2, 0]), slice(1, 3)), (numpy.array([True, True]), numpy.array([0, 2])), numpy.zeros(0, dtype=int),
    (numpy.array([0], dtype=numpy.int16), numpy.array([-1], dtype=numpy.int32)), [1, 0], [True, False], [], True, False,
])
def test_indexing_with_tensors(index):
    theirs = values[index]

    def own(part):
        return Tensor(part) if isinstance(part, numpy.ndarray) else part

    for given in (index, tuple(map(own, index)) if isinstance(index, tuple) else own(index)):
        ours = tensor[given]
        assert ours.shape == theirs.shape and ours.tolist() == theirs.tolist()


def test_wrong_tensors_as_indices():
    for index in (Tensor([2]), Tensor([-3]), Tensor([1.0]), Tensor([True]), values[0] > 0, Tensor([1, 0]).to("uint8"),
                  (Tensor([0, 1]), Tensor([0, 1, 2])), 2**70):
        with pytest.raises(IndexError):
            tensor[index]
    assert tensor[Tensor(1)].tolist() == values[1].tolist()
    assert oxidiff.arange(5)[oxidiff.arange(5) > 2].tolist() == [3, 4]


def test_flip():
    assert largest_difference(tensor.flip(0), values[::-1]) == 0
    assert largest_difference(tensor.flip(-1, 0), values[::-1, :, ::-1]) == 0
    assert largest_difference(tensor.flip([1]), values[:, ::-1]) == 0
    with pytest.raises(ValueError):
        tensor.flip(0, -3)
    with pytest.raises(IndexError):
        tensor.flip(3)


@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_places_of_extremes(name):
    for array in (values, (values * 3).astype(numpy.int8)):
        for dim in (None, 0, 1, -1):
            ours, theirs = getattr(Tensor(array), name)(dim), getattr(array, name)(dim)
            assert ours.dtype == oxidiff.int64 and ours.shape == theirs.shape and ours.tolist() == theirs.tolist()
        assert getattr(Tensor(array), name)(1, keepdim=True).shape == (2, 1, 4)
        assert getattr(Tensor(array), name)(keepdim=True).shape == (1, 1, 1)
    # A value that is not a number counts as an extreme, and the first of equals is found.
    assert getattr(Tensor([1, float("nan"), 3, float("nan")]), name)().item() == 1
    assert getattr(Tensor([2, 2]), name)().item() == 0
    assert getattr(Tensor(3.0), name)().item() == 0


def test_whole_numbers_stay_whole():
    for name in ("int64", "int8", "uint8"):
        whole = Tensor([0, 1, 3], dtype=name)
        for result in (abs(whole), whole.round(), whole.floor(), whole.amax(0), whole.amin(0)):
            assert result.dtype.name == name
    assert abs(Tensor([-(2**60), 3])).tolist() == [2**60, 3]


@pytest.mark.parametrize("lists", [[[1], 2], [1, [2]], [[], 1], [[[1]], [2]]])
def test_ragged_lists(lists):
    with pytest.raises(ValueError):
        Tensor(lists)


def test_numpy_takes_bfloat16_as_float32():
    converted = numpy.asarray(tensor.to(oxidiff.bfloat16))
    assert converted.dtype == numpy.float32 and largest_difference(converted, values) < 0.02
    assert numpy.asarray(oxidiff.zeros(0, 3, dtype="bfloat16")).shape == (0, 3)


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


def test_whole_numbers_stay_whole():
    large = Tensor([2**53 + 1, -5, 7])
    assert large.clamp(min=0).tolist() == [2**53 + 1, 0, 7] and large.clamp(0, 7).dtype == oxidiff.int64
    assert large.clamp(max=6.5).dtype == oxidiff.float32
    whole = numpy.array([[3], [-2], [0]])
    for exponent in (0, 1, 2, 5, 13):
        assert (Tensor(whole) ** exponent).tolist() == (whole**exponent).tolist()
    powers = Tensor(whole) ** Tensor([0, 1, 2, 3])
    assert powers.tolist() == (whole ** numpy.arange(4)).tolist() and powers.dtype == oxidiff.int64
    assert (2 ** Tensor([0, 3, 62])).tolist() == [1, 8, 2**62] and (2 ** Tensor([0.5])).item() == pytest.approx(2**0.5)
    with pytest.raises(ValueError, match="negative powers"):
        Tensor(whole) ** -1
