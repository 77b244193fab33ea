"""GGUF files for tests: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md."""

import json
import struct

import numpy as np

ALIGNMENT = 32
F32, Q8_0 = 0, 8
#: How many values share a scale in Q8_0.
BLOCK = 32


def read_safetensors(file):
    """The tensors of a file in single precision, by name."""
    contents = file.read_bytes()
    start = 8 + int.from_bytes(contents[:8], "little")
    header = json.loads(contents[8:start])
    header.pop("__metadata__", None)
    tensors = {}
    for name, info in header.items():
        assert info["dtype"] == "F32"
        first, end = info["data_offsets"]
        tensors[name] = np.frombuffer(contents[start + first:start + end], "<f4").reshape(info["shape"])
    return tensors


def write_gguf(file, tensors, rounded):
    """Writes tensors; matrices for whose names `rounded` returns true are rounded to Q8_0."""
    infos, data = b"", b""
    for name, values in tensors.items():
        is_rounded = rounded(name) and values.ndim == 2 and values.shape[1] % BLOCK == 0
        data += bytes(-len(data) % ALIGNMENT)
        infos += _text(name) + struct.pack(f"<I{values.ndim}Q", values.ndim, *reversed(values.shape))
        infos += struct.pack("<IQ", Q8_0 if is_rounded else F32, len(data))
        data += _blocks(values) if is_rounded else values.astype("<f4").tobytes()
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), 0) + infos
    file.write_bytes(head + bytes(-len(head) % ALIGNMENT) + data)
    return file


def _text(text):
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _blocks(values):
    """Each block is a scale in half precision and 32 numbers of 8 bits."""
    blocks = values.reshape(-1, BLOCK)
    scales = np.abs(blocks).max(axis=1, keepdims=True) / 127
    numbers = np.rint(np.divide(blocks, scales, where=scales > 0, out=np.zeros_like(blocks))).astype("<i1")
    return np.concatenate([scales.astype("<f2").view("<i1"), numbers], axis=1).tobytes()
