"""Reads the files in which the values of Python diffusers are recorded, without the package `safetensors`."""

import json

import numpy

TYPES = {"F32": numpy.float32, "F64": numpy.float64, "I64": numpy.int64, "U8": numpy.uint8}


def load(path):
    """The arrays of a file by name."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    return {name: _array(data, start, about) for name, about in header.items()}


def _array(data, start, about):
    first, last = (start + offset for offset in about["data_offsets"])
    return numpy.frombuffer(data[first:last], TYPES[about["dtype"]]).reshape(about["shape"])
