"""Writes the small files that fuzzing starts with into seeds/ next to this script; needs PyTorch, safetensors and gguf.

Files there that fuzzers found are left alone.
"""

import io
import json
import tempfile
import zipfile
from collections import OrderedDict
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import save

SEEDS = Path(__file__).parent / "seeds"


def write(name, contents):
    file = SEEDS / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(contents)


def pickled(value, **more):
    buffer = io.BytesIO()
    torch.save(value, buffer, **more)
    return buffer.getvalue()


def half(*shape):
    return torch.arange(1, 1 + torch.Size(shape).numel()).reshape(shape).half()


def pair(module, down, up, shape=(), rank=1):
    return {f"{module}.{down}": half(rank, 2, *shape), f"{module}.{up}": half(2, rank, *shape)}


# Pickled weights: every protocol, container and element type; views, shared storages and other data next to weights.
types = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
         torch.uint8, torch.bool]
for protocol in (2, 3, 4):
    write(f"pickle/protocol{protocol}.bin", pickled({"a": half(2, 2)}, pickle_protocol=protocol))
shared = torch.arange(6.0)
views = {"transposed": shared.view(2, 3).t(), "part": shared[2:4], "repeated": shared[:1].expand(4), "one": torch.tensor(1.0),
         "parameter": torch.nn.Parameter(half(2))}
for container, zipped in (("zip", True), ("legacy", False)):
    write(f"pickle/{container}_types.bin", pickled({str(dtype): torch.ones(1, dtype=dtype) for dtype in types},
                                                   _use_new_zipfile_serialization=zipped))
    write(f"pickle/{container}_views.bin", pickled(OrderedDict(views), _use_new_zipfile_serialization=zipped))
training = {"epoch": 3, "global_step": 2**40, "lr": 1e-4, "nothing": None, "flags": [True, False], "b": b"bytes",
            "state_dict": {"state_dict": {"a": half(2)}}, "dtypes": (torch.float32, torch.Size([2, 3])), "set": {1, 2}}
write("pickle/training.bin", pickled(training))
write("pickle/module.bin", pickled(torch.nn.Linear(2, 1)))
compressed = io.BytesIO()
with zipfile.ZipFile(compressed, "w", zipfile.ZIP_DEFLATED) as archive, zipfile.ZipFile(io.BytesIO(pickled({"a": half(9)}))) as plain:
    for entry in plain.namelist():
        archive.writestr(entry, plain.read(entry))
write("pickle/compressed.bin", compressed.getvalue())

# Weights in safetensors: checkpoints in the original layout.
write("safetensors/inpainting.safetensors", save({
    "model.diffusion_model.input_blocks.0.0.weight": half(1, 9, 1, 1),
    "model.diffusion_model.input_blocks.2.1.transformer_blocks.0.attn2.to_k.weight": torch.zeros(1, 1024, dtype=torch.uint8),
    "model.diffusion_model.output_blocks.5.2.conv.weight": half(1),
    "model.diffusion_model.middle_block.0.in_layers.0.weight": half(1),
    "first_stage_model.decoder.up.1.block.0.nin_shortcut.weight": half(1),
    "cond_stage_model.model.transformer.resblocks.0.attn.in_proj_bias": half(3),
    "cond_stage_model.transformer.text_model.final_layer_norm.weight": half(1),
}))
write("safetensors/types.safetensors", save({str(dtype): torch.ones(1, dtype=dtype) for dtype in types}))

# The same in GGUF: metadata of every kind, every type of tensor, the names of llama.cpp.
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "types.gguf"
    made = gguf.GGUFWriter(path, "qwen3")
    made.add_custom_alignment(16)
    made.add_bool("true", True)
    made.add_float64("number", 0.5)
    made.add_array("texts", ["a", ""])
    made.add_array("comfy.gguf.orig_shape.F32", [2, 2])
    for kind in ("F32", "F16", "BF16", "Q8_0", "Q5_0", "Q5_1", "Q4_0", "Q4_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "I8", "IQ4_NL"):
        kind = gguf.GGMLQuantizationType[kind]
        length, size = gguf.GGML_QUANT_SIZES[kind]
        # Types without blocks have the shape of their bytes here.
        made.add_tensor(kind.name, np.ones((1, size), dtype=np.uint8), raw_dtype=kind)
    made.add_tensor("blk.0.attn_q_norm.weight", np.ones(2, dtype=np.float32))
    made.write_header_to_file()
    made.write_kv_data_to_file()
    made.write_tensors_to_file()
    made.close()
    write("gguf/types.gguf", path.read_bytes())

# Adapters: all layouts, with convolutions, and kinds that are refused.
old = {
    **pair("unet.a.processor", "to_q_lora.down.weight", "to_q_lora.up.weight"),
    **pair("unet.a.processor", "to_out_lora.down.weight", "to_out_lora.up.weight"),
    **pair("unet.b.c", "lora.down.weight", "lora.up.weight", (1, 1)),
    **pair("text_encoder.text_model.l.mlp.fc1", "lora_linear_layer.down.weight", "lora_linear_layer.up.weight"),
}
peft = {
    **pair("unet.b.c", "lora_A.weight", "lora_B.weight", (1, 1), 2),
    **pair("unet.a.to_out.0", "lora_A.weight", "lora_B.weight", rank=2),
    **pair("text_encoder.text_model.l.self_attn.q_proj", "lora_A.weight", "lora_B.weight"),
}
kohya = {
    **pair("lora_unet_b_c", "lora_down.weight", "lora_up.weight", (1, 1)), "lora_unet_b_c.alpha": torch.tensor(0.5),
    **pair("lora_unet_a_to_out_0", "lora_down.weight", "lora_up.weight"), "lora_unet_a_to_out_0.alpha": torch.tensor(2),
    **pair("lora_te1_text_model_l_mlp_fc1", "lora_down.weight", "lora_up.weight"),
    "lora_te1_text_model_l_mlp_fc1.alpha": torch.tensor(1.0).bfloat16(),
}
configuration = {"unet.lora_alpha": 4, "unet.r": 2, "unet.use_rslora": True, "unet.alpha_pattern": {"^b.c": 8, "to_out.0": 1},
                 "text_encoder.lora_alpha": 1, "text_encoder.use_dora": False}
for name, tensors in (("old", old), ("peft_layers", peft), ("kohya_layers", kohya)):
    write(f"lora/{name}.safetensors", save(tensors))
    write(f"lora/{name}.bin", pickled(tensors))
write("lora/configured.safetensors", save(peft, {"lora_adapter_metadata": json.dumps(configuration)}))
write("lora/dora.safetensors", save({**kohya, "lora_unet_b_c.dora_scale": half(2)}))

# Configurations, and the index of a checkpoint in shards.
write("config/solver.json", json.dumps({
    "_class_name": "FirstScheduler", "num_train_timesteps": 20, "beta_start": 1e-4, "trained_betas": [0.1, 0.2], "clip_sample": True,
    "lambda_min_clipped": -float("inf"), "timestep_spacing": "leading", "other": {"NaN": [None, float("nan")], "ä\u2028": "\\\"\u0000"},
}).encode())
write("config/index.json", json.dumps({
    "metadata": {"total_size": 8}, "weight_map": {"a": "model-00001-of-00002.bin", "b": "model-00002-of-00002.bin"},
}).encode())
