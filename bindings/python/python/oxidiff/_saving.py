"""Saved weights under the names of a variant, or split into files of a limited size."""

import json
import os
import struct
import tempfile

from ._loading import folder, refuse_others

UNITS = {"TB": 10**12, "GB": 10**9, "MB": 10**6, "KB": 10**3}
#: The files that weights are written to: those of diffusers, and those of transformers.
WEIGHTS = ("diffusion_pytorch_model", "model")


def save(write, save_directory, safe_serialization, variant, max_shard_size, others):
    """Lets `write` write into a folder, and gives the weights there the names and sizes that are asked for.

    Raises:
        NotImplementedError: for other files than safetensors, and for the hub.
        ValueError: when the size is none.
    """
    if not safe_serialization:
        raise NotImplementedError("`safe_serialization=False` is not supported: only safetensors are written, no pickles")
    if others.pop("push_to_hub", False):
        raise NotImplementedError("`push_to_hub=True` is not supported: files are written into a local folder only")
    refuse_others(others)
    target = folder(save_directory)
    limit = None if max_shard_size is None else size(max_shard_size)
    os.makedirs(target, exist_ok=True)
    # Beside what is there, so that weights of other variants stay.
    with tempfile.TemporaryDirectory(prefix=".saving-", dir=target) as made:
        write(made)
        for name, _, files in list(os.walk(made)):
            for stem in WEIGHTS:
                if f"{stem}.safetensors" in files:
                    _arrange(name, os.path.join(target, os.path.relpath(name, made)), stem, variant, limit)
        _move(made, target)


def size(limit):
    """The bytes of `"5GB"`, or of a number."""
    if isinstance(limit, int) and not isinstance(limit, bool) and limit > 0:
        return limit
    text = str(limit).strip().upper()
    number = text[:-2].strip()
    if text[-2:] not in UNITS or not number.isdigit() or int(number) == 0:
        raise ValueError(f"`max_shard_size={limit!r}`: must be a number of bytes, or one with a unit, such as '5GB' or '200MB'")
    return int(number) * UNITS[text[-2:]]


def _arrange(made, target, stem, variant, limit):
    """Names and splits the weights in the folder `made`, and removes earlier shards of the same name from `target`."""
    whole = os.path.join(made, f"{stem}.safetensors")
    name = stem if variant is None else f"{stem}.{variant}"
    index = f"{stem}.safetensors.index{'' if variant is None else '.' + variant}.json"
    if os.path.isdir(target):
        for old in os.listdir(target):
            if old == index or old == f"{name}.safetensors" or (old.startswith(f"{name}-") and "-of-" in old and old.endswith(".safetensors")):
                os.remove(os.path.join(target, old))
    header, begin = _header(whole)
    metadata = header.pop("__metadata__", None)
    shards = [[]] if limit is None else _shards(header, limit)
    if len(shards) == 1:
        os.replace(whole, os.path.join(made, f"{name}.safetensors"))
        return
    weight_map = {}
    with open(whole, "rb") as source:
        for number, names in enumerate(shards, 1):
            file = f"{name}-{number:05}-of-{len(shards):05}.safetensors"
            _write(os.path.join(made, file), source, begin, {tensor: header[tensor] for tensor in names}, metadata)
            weight_map.update(dict.fromkeys(names, file))
    os.remove(whole)
    total = sum(_bytes(info) for info in header.values())
    with open(os.path.join(made, index), "w", encoding="utf-8") as file:
        file.write(json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}, indent=2, sort_keys=True) + "\n")


def _shards(header, limit):
    """The names of the tensors of each file. A tensor that is larger than the limit has a file of its own."""
    shards, used = [], limit
    for name, info in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        if used + _bytes(info) > limit:
            shards.append([])
            used = 0
        shards[-1].append(name)
        used += _bytes(info)
    return shards or [[]]


def _bytes(info):
    start, end = info["data_offsets"]
    return end - start


def _header(file):
    """What a file of safetensors says of its tensors, and where their data begins."""
    with open(file, "rb") as source:
        (length,) = struct.unpack("<Q", source.read(8))
        return json.loads(source.read(length)), 8 + length


def _write(file, source, begin, tensors, metadata):
    """Writes some tensors of another file of safetensors."""
    header, offset = {} if metadata is None else {"__metadata__": metadata}, 0
    for name, info in tensors.items():
        header[name] = {**info, "data_offsets": [offset, offset + _bytes(info)]}
        offset += _bytes(info)
    text = json.dumps(header, separators=(",", ":")).encode()
    # The data is aligned to eight bytes.
    text += b" " * (-len(text) % 8)
    with open(file, "wb") as target:
        target.write(struct.pack("<Q", len(text)) + text)
        for info in tensors.values():
            source.seek(begin + info["data_offsets"][0])
            left = _bytes(info)
            while left:
                part = source.read(min(left, 1 << 24))
                target.write(part)
                left -= len(part)


def _move(source, target):
    """Moves the files of a folder into another, in the place of those of the same names."""
    for name, _, files in os.walk(source):
        inner = os.path.join(target, os.path.relpath(name, source))
        os.makedirs(inner, exist_ok=True)
        for file in files:
            os.replace(os.path.join(name, file), os.path.join(inner, file))
