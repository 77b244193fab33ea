#!/usr/bin/env python3
"""Compiles the kernels to `compiled/`, from where the crate embeds them.

    python kernels/compile.py [--nvcc NVCC] [--jobs 2] [--cache FOLDER]

Needs nvcc (CUDA 13) and zstd. Whoever changes a kernel runs this and commits both; a test of the crate
compares `sources.sha256` with the sources. With a cache folder, only what changed is compiled again.

`compiled/ARCHITECTURE.zst` holds all kernels of one architecture, so that similar code compresses together.
It is a zstd stream of, all numbers little-endian: u32 how many modules; then for each: u32 length of the
name, u32 length of the module, the name, the module (a cubin, or PTX text).
"""

import argparse
import hashlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

KERNELS = Path(__file__).resolve().parent
COMPILED = KERNELS.parent / "compiled"

FLAGS = ["-O3", "-std=c++17"]
# The last one is PTX, for the driver to compile on cards that came later.
ARCHITECTURES = ["sm_80", "sm_86", "sm_89", "sm_90a", "compute_80"]
# Sources whose names begin so use instructions of one architecture only.
ONLY = {"convolution_wgmma": "sm_90a", "attention_wgmma": "sm_90a"}


def sources_hash():
    """The hash of what decides the result: names, lengths and bytes of the sources and of this program."""
    digest = hashlib.sha256()
    paths = [
        path for path in KERNELS.iterdir() if path.suffix in (".cu", ".cuh") or path.name == "compile.py"
    ]
    for path in sorted(paths, key=lambda path: path.name):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def is_for(source, architecture):
    """Whether `source` is compiled for `architecture`."""
    return all(architecture == only for start, only in ONLY.items() if source.name.startswith(start))


def with_headers(source):
    """A source and the headers that it includes, directly or not, in a fixed order."""
    found = [source]
    for path in found:
        names = re.findall(r'^\s*#include "([^"]+)"', path.read_text(), re.MULTILINE)
        found += [header for header in (KERNELS / name for name in names) if header not in found]
    return found


def compile_one(nvcc, source, architecture, cache):
    """The module of one source."""
    kind = "-ptx" if architecture.startswith("compute") else "-cubin"
    command = [nvcc, kind, f"-arch={architecture}", *FLAGS]
    digest = hashlib.sha256(" ".join(command[1:]).encode())
    for path in with_headers(source):
        digest.update(path.name.encode() + b"\n" + path.read_bytes())
    target = cache / f"{source.stem}-{architecture}-{digest.hexdigest()[:16]}"
    if not target.exists():
        start = time.monotonic()
        unfinished = target.with_suffix(".unfinished")
        # Relative names, so that no path of this machine gets into the result.
        result = subprocess.run(
            [*command, source.name, "-o", unfinished], cwd=KERNELS, capture_output=True, text=True
        )
        if result.returncode != 0:
            sys.exit(f"{source.name} for {architecture}:\n{result.stdout}{result.stderr}")
        unfinished.rename(target)
        size = target.stat().st_size // 1024
        print(f"{source.name} for {architecture}: {time.monotonic() - start:.1f} s, {size} KiB", flush=True)
    return target.read_bytes()


def archive(modules):
    """The modules in one file, as described above."""
    parts = [struct.pack("<I", len(modules))]
    for name, module in modules:
        parts += [struct.pack("<II", len(name), len(module)), name.encode(), module]
    return b"".join(parts)


def main():
    parser = argparse.ArgumentParser(description="Compiles the kernels.")
    parser.add_argument(
        "--nvcc", default=shutil.which("nvcc"), help="the compiler (default: nvcc on the path)"
    )
    parser.add_argument("--jobs", type=int, default=2, help="how many compilers at once")
    parser.add_argument("--cache", type=Path, help="a folder that keeps what was compiled")
    arguments = parser.parse_args()
    if arguments.nvcc is None:
        sys.exit("nvcc was not found: name it with --nvcc")
    before = sources_hash()
    sources = sorted(KERNELS.glob("*.cu"))
    with tempfile.TemporaryDirectory() as temporary, ThreadPoolExecutor(arguments.jobs) as pool:
        cache = arguments.cache or Path(temporary)
        cache.mkdir(parents=True, exist_ok=True)
        futures = {
            (architecture, source): pool.submit(compile_one, arguments.nvcc, source, architecture, cache)
            for source in sources
            for architecture in ARCHITECTURES
            if is_for(source, architecture)
        }
        try:
            compiled = {key: future.result() for key, future in futures.items()}
        except SystemExit:
            pool.shutdown(cancel_futures=True)
            raise
    if sources_hash() != before:
        sys.exit("the sources changed while they were compiled")
    COMPILED.mkdir(exist_ok=True)
    for architecture in ARCHITECTURES:
        modules = [
            (source.stem, compiled[architecture, source])
            for source in sources
            if (architecture, source) in compiled
        ]
        whole = archive(modules)
        path = COMPILED / f"{architecture}.zst"
        # Far matches are allowed: the same code is in many kernels. Decoders refuse windows over 100 MB.
        command = [
            "zstd",
            "-19",
            "--long=26",
            f"--stream-size={len(whole)}",
            "--quiet",
            "--force",
            "-o",
            path,
        ]
        subprocess.run(command, input=whole, check=True)
        sizes = f"{len(whole) // 1024} KiB, {path.stat().st_size // 1024} KiB compressed"
        print(f"{path.name}: {len(modules)} modules, {sizes}")
    (COMPILED / "sources.sha256").write_text(before + "\n")


if __name__ == "__main__":
    main()
