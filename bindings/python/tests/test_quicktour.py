"""The code blocks of the quicktour, with only the import and the two names on the hub replaced, give the results that
Python diffusers gave."""

import base64
import io
import json

import numpy
import pytest
from conftest import largest_difference
from PIL import Image
from tour import RECORDED, blocks, prepare, replaced, run, stand_in_for_mindspore

import oxidiff

recorded = json.loads(RECORDED.read_text())


def difference_of_bytes(left, right):
    """The blocks of the tour convert values without clipping them, so that 255 is next to 0."""
    assert left.mode == right.mode and left.size == right.size
    difference = numpy.abs(numpy.asarray(left).astype(int) - numpy.asarray(right).astype(int))
    return numpy.minimum(difference, 256 - difference).max()


def check(shown, space):
    assert [kind for kind, _ in shown] == [kind for kind, _ in recorded["shown"]]
    for (kind, ours), (_, theirs) in zip(shown, recorded["shown"]):
        if kind == "image":
            assert difference_of_bytes(ours, Image.open(io.BytesIO(base64.b64decode(theirs)))) <= 1
        elif theirs.startswith("FrozenDict"):
            as_list = {"FrozenDict": lambda items: list(dict(items).items())}
            assert eval(ours, as_list) == eval(theirs, as_list)
        else:
            assert ours == theirs
    for name in ("noisy_residual", "less_noisy_sample", "sample"):
        assert largest_difference(space[name].numpy().ravel(), recorded[name]) <= 1e-3, name


def test_the_tour_with_tensors_of_the_package(tmp_path):
    oxidiff.manual_seed(0)
    shown, space = run("oxidiff", tmp_path, stand_in_for_mindspore(oxidiff.randn, oxidiff.float32))
    check(shown, space)
    assert isinstance(space["sample"], oxidiff.Tensor)


def test_the_tour_with_torch(tmp_path):
    torch = pytest.importorskip("torch")
    oxidiff.manual_seed(0)
    generator = torch.Generator().manual_seed(0)

    def randn(*shape):
        # The tour draws its noise after two pipelines have drawn theirs.
        state = torch.frombuffer(bytearray(oxidiff.default_generator().get_state()), dtype=torch.uint8)
        noise = torch.randn(*shape, generator=generator.set_state(state) and generator)
        oxidiff.default_generator().set_state(bytes(generator.get_state().numpy()))
        return noise

    shown, space = run("oxidiff", tmp_path, stand_in_for_mindspore(randn, torch.float32))
    check(shown, space)
    assert isinstance(space["sample"], torch.Tensor)


def test_the_tour_as_a_notebook(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    names = prepare(tmp_path)
    before = (
        "import sys, types, oxidiff\n"
        "sys.modules['mindspore'] = mindspore = types.ModuleType('mindspore')\n"
        "mindspore.float32, mindspore.ops = oxidiff.float32, types.SimpleNamespace(randn=oxidiff.randn)\n"
        "oxidiff.manual_seed(0)"
    )
    cells = [nbformat.v4.new_code_cell(code) for code in (before, *(replaced(b, "oxidiff", names) for b in blocks()))]
    notebook = nbformat.v4.new_notebook(cells=cells)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output["data"] for cell in notebook.cells for output in cell.get("outputs", ()) if "data" in output]
    images = [base64.b64decode(data["image/png"]) for data in shown if "image/png" in data]
    theirs = [base64.b64decode(value) for kind, value in recorded["shown"] if kind == "image"]
    assert len(images) == len(theirs)
    for ours, other in zip(images, theirs):
        assert difference_of_bytes(Image.open(io.BytesIO(ours)), Image.open(io.BytesIO(other))) <= 1
    assert any("<strong>StableDiffusionPipeline</strong>" in data.get("text/html", "") for data in shown)
