"""Runs the code blocks of the quicktour, as a notebook does, and collects what they show."""

import ast
import contextlib
import io
import os
import re
import shutil
import sys
import types
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
FIXTURES = REPOSITORY / "tests" / "fixtures"
BLOCKS = Path(__file__).parent / "fixtures" / "quicktour.md"
RECORDED = Path(__file__).parent / "fixtures" / "quicktour.json"

STABLE_DIFFUSION = "stable-diffusion-v1-5/stable-diffusion-v1-5"
CATS = "google/ddpm-cat-256"


def blocks():
    """The Python code of each block. Of changes, the new lines; of code with its output, the code."""
    found = re.findall(r"^```(\w+)\n(.*?)^```\n", BLOCKS.read_text(), re.M | re.S)
    sources = [_new_lines(text) if language == "diff" else text for language, text in found]
    return [code for code in map(_without_output, sources) if ast.parse(code).body]


def _new_lines(text):
    lines = [line[2:] for line in text.splitlines() if not line.startswith("-")]
    return "\n".join(lines) + "\n"


def _without_output(text):
    # The longest beginning that is Python. In a shell command, that is nothing.
    lines = text.splitlines(keepends=True)
    for count in range(len(lines), 0, -1):
        code = "".join(lines[:count])
        with contextlib.suppress(SyntaxError):
            ast.parse(code)
            return code
    return ""


def prepare(folder):
    """Puts small checkpoints into a folder, and returns their paths by the names that the tour has for them."""
    stable_diffusion, cats = folder / "stable-diffusion-v1-5", folder / "ddpm-cat-256"
    shutil.copytree(FIXTURES / "pipelines" / "sd1", stable_diffusion)
    # Without a type in `from_pretrained`, transformers computes in the one that its configuration names.
    config = stable_diffusion / "text_encoder" / "config.json"
    config.write_text(re.sub(r'"(torch_)?dtype": "float16"', '"dtype": "float32"', config.read_text()))
    # The repository of the cats has model and scheduler next to the index.
    for part in ("", "unet", "scheduler"):
        for file in (FIXTURES / "unconditional" / "pipelines" / "ddpm" / part).iterdir():
            if file.is_file():
                cats.mkdir(exist_ok=True)
                shutil.copy(file, cats / file.name)
    return {STABLE_DIFFUSION: str(stable_diffusion), CATS: str(cats)}


def replaced(code, package, names):
    """The code with another package for mindone's, and paths instead of names on the hub."""
    code = code.replace("mindone.diffusers", package)
    for name, path in names.items():
        code = code.replace(f'"{name}"', repr(path))
    return code


def stand_in_for_mindspore(randn, float32):
    """A module `mindspore` with what the tour uses of it."""
    module = types.ModuleType("mindspore")
    module.float32 = float32
    module.ops = types.SimpleNamespace(randn=randn)
    return module


def run(package, folder, mindspore):
    """Runs the tour in a folder. Returns what each block shows: texts and images."""
    names = prepare(folder)
    shown = []

    def display(value):
        if type(value).__module__.startswith("PIL."):
            shown.append(("image", value.copy()))
        else:
            text = value if isinstance(value, str) else repr(value)
            for name, path in names.items():
                text = text.replace(path, name)
            shown.append(("text", text))

    space = {"display": display, "__name__": "__main__"}
    before, sys.modules["mindspore"] = sys.modules.get("mindspore"), mindspore
    here = os.getcwd()
    os.chdir(folder)
    try:
        exec("import mindspore", space)
        for code in blocks():
            _run_block(replaced(code, package, names), space, display)
    finally:
        os.chdir(here)
        if before is None:
            del sys.modules["mindspore"]
        else:
            sys.modules["mindspore"] = before
    return shown, space


def _run_block(code, space, display):
    parsed = ast.parse(code)
    last = parsed.body.pop() if isinstance(parsed.body[-1], ast.Expr) else None
    with contextlib.redirect_stderr(io.StringIO()):
        exec(compile(parsed, "<quicktour>", "exec"), space)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), "<quicktour>", "eval"), space)
            if value is not None:
                display(value)
