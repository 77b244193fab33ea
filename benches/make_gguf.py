"""Transformers and text encoders in the true shapes with random quantised weights, in the layouts of the files that people download.

Usage: make_gguf.py MODEL TYPE FILE, with the package gguf. MODEL is z_image, flux1, qwen3_4b or t5_xxl; TYPE is Q8_0 or Q4_K. Each file is
read by Oxidiff and by stable-diffusion.cpp. Small matrices and vectors are F32, as in those files. Blocks are drawn from a pool: speed does not depend
on the values.
"""

import sys

import gguf
import numpy as np

# What a matrix needs to be worth quantising, in values.
FEWEST = 1 << 17
VALUES_IN_POOL = 1 << 26
rng = np.random.default_rng(0)


def halves(value, count):
    return np.full((count, 1), value, np.float16).view(np.uint8)


def pool_of_blocks(type, depth):
    """Blocks of about normal size: values of a row of `depth` should add up to 1 in square."""
    size = depth**-0.5
    if type == "Q8_0":
        count = VALUES_IN_POOL // 32
        return np.concatenate([halves(size / 74, count), rng.integers(0, 256, (count, 32), np.uint8)], axis=1)
    count = VALUES_IN_POOL // 256
    return np.concatenate([halves(size / 170, count), halves(7.5 * size / 170, count), rng.integers(0, 256, (count, 140), np.uint8)], axis=1)


def linear(name, out, depth, bias=True):
    yield f"{name}.weight", (out, depth)
    if bias:
        yield f"{name}.bias", (out,)


def z_image():
    width, hidden = 3840, 10240
    yield from linear("x_embedder", width, 64)
    yield from linear("cap_embedder.1", width, 2560)
    yield "cap_embedder.0.weight", (2560,)
    yield from linear("t_embedder.mlp.0", 1024, 256)
    yield from linear("t_embedder.mlp.2", 256, 1024)
    yield from linear("final_layer.linear", 64, width)
    yield from linear("final_layer.adaLN_modulation.1", width, 256)
    yield "x_pad_token", (1, width)
    yield "cap_pad_token", (1, width)
    blocks = [f"layers.{i}" for i in range(30)] + [f"{kind}_refiner.{i}" for kind in ("noise", "context") for i in range(2)]
    for block in blocks:
        yield from linear(f"{block}.attention.qkv", 3 * width, width, bias=False)
        yield from linear(f"{block}.attention.out", width, width, bias=False)
        for i in (1, 3):
            yield from linear(f"{block}.feed_forward.w{i}", hidden, width, bias=False)
        yield from linear(f"{block}.feed_forward.w2", width, hidden, bias=False)
        for norm in ("q_norm", "k_norm"):
            yield f"{block}.attention.{norm}.weight", (128,)
        for norm in ("attention_norm1", "attention_norm2", "ffn_norm1", "ffn_norm2"):
            yield f"{block}.{norm}.weight", (width,)
        if not block.startswith("context"):
            yield from linear(f"{block}.adaLN_modulation.0", 4 * width, 256)


def flux1():
    width = 3072
    yield from linear("img_in", width, 64)
    yield from linear("txt_in", width, 4096)
    for name, depth in (("time_in", 256), ("guidance_in", 256), ("vector_in", 768)):
        yield from linear(f"{name}.in_layer", width, depth)
        yield from linear(f"{name}.out_layer", width, width)
    for i in range(19):
        for stream in (f"double_blocks.{i}.img", f"double_blocks.{i}.txt"):
            yield from linear(f"{stream}_mod.lin", 6 * width, width)
            yield from linear(f"{stream}_attn.qkv", 3 * width, width)
            yield from linear(f"{stream}_attn.proj", width, width)
            yield from linear(f"{stream}_mlp.0", 4 * width, width)
            yield from linear(f"{stream}_mlp.2", width, 4 * width)
            for norm in ("query_norm", "key_norm"):
                yield f"{stream}_attn.norm.{norm}.scale", (128,)
    for i in range(38):
        block = f"single_blocks.{i}"
        yield from linear(f"{block}.linear1", 7 * width, width)
        yield from linear(f"{block}.linear2", width, 5 * width)
        yield from linear(f"{block}.modulation.lin", 3 * width, width)
        for norm in ("query_norm", "key_norm"):
            yield f"{block}.norm.{norm}.scale", (128,)
    yield from linear("final_layer.linear", 64, width)
    yield from linear("final_layer.adaLN_modulation.1", 2 * width, width)


def qwen3_4b():
    width = 2560
    yield "token_embd.weight", (151936, width)
    yield "output_norm.weight", (width,)
    for i in range(36):
        block = f"blk.{i}"
        yield from linear(f"{block}.attn_q", 4096, width, bias=False)
        yield from linear(f"{block}.attn_k", 1024, width, bias=False)
        yield from linear(f"{block}.attn_v", 1024, width, bias=False)
        yield from linear(f"{block}.attn_output", width, 4096, bias=False)
        yield from linear(f"{block}.ffn_gate", 9728, width, bias=False)
        yield from linear(f"{block}.ffn_up", 9728, width, bias=False)
        yield from linear(f"{block}.ffn_down", width, 9728, bias=False)
        for norm, count in (("attn_norm", width), ("ffn_norm", width), ("attn_q_norm", 128), ("attn_k_norm", 128)):
            yield f"{block}.{norm}.weight", (count,)


def t5_xxl():
    width, hidden = 4096, 10240
    yield "token_embd.weight", (32128, width)
    yield "enc.output_norm.weight", (width,)
    yield "enc.blk.0.attn_rel_b.weight", (32, 64)
    for i in range(24):
        block = f"enc.blk.{i}"
        for name in ("attn_q", "attn_k", "attn_v", "attn_o"):
            yield from linear(f"{block}.{name}", width, width, bias=False)
        yield from linear(f"{block}.ffn_gate", hidden, width, bias=False)
        yield from linear(f"{block}.ffn_up", hidden, width, bias=False)
        yield from linear(f"{block}.ffn_down", width, hidden, bias=False)
        yield f"{block}.attn_norm.weight", (width,)
        yield f"{block}.ffn_norm.weight", (width,)


MODELS = {"z_image": (z_image, "lumina2"), "flux1": (flux1, "flux"), "qwen3_4b": (qwen3_4b, "qwen3"), "t5_xxl": (t5_xxl, "t5encoder")}


def main(model, type, file):
    tensors, architecture = MODELS[model]
    quantised = gguf.GGMLQuantizationType[type]
    block, _ = gguf.GGML_QUANT_SIZES[quantised]
    pools = {}
    writer = gguf.GGUFWriter(file, architecture)
    for name, shape in tensors():
        count = int(np.prod(shape))
        if len(shape) == 2 and count >= FEWEST and shape[1] % block == 0:
            if shape[1] not in pools:
                pools = {shape[1]: pool_of_blocks(type, shape[1])}
            blocks = np.resize(pools[shape[1]], (count // block, pools[shape[1]].shape[1]))
            writer.add_tensor(name, blocks.reshape(shape[0], -1), raw_dtype=quantised)
        elif len(shape) == 1 and name.endswith((".weight", ".scale")):
            writer.add_tensor(name, np.ones(shape, np.float32))
        else:
            scale = 0.1 if len(shape) == 1 else shape[1] ** -0.5
            writer.add_tensor(name, (rng.standard_normal(shape) * scale).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
