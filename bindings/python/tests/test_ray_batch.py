"""The example for Ray: nothing is lost and nothing is made twice, whichever process dies."""

import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import numpy
import pytest
from PIL import Image

from oxidiff import DiffusionPipeline, Generator

pytest.importorskip("ray.data")

EXAMPLES = Path(__file__).parents[1] / "examples"
PROMPTS = [f"a {colour} {thing}" for colour in ("red", "green", "blue") for thing in ("apple", "house", "cat", "tree")]
STEPS = 20

# Runs the program with a worker that notes each generation as it begins. The generation with the seed HELD stops halfway, once,
# so that a test can kill its process in the midst of work.
COUNTED = """
import os
import sys
import time
from pathlib import Path

import ray_batch

FOLDER, HELD = Path(sys.argv.pop(1)), int(sys.argv.pop(1))


class Counted(ray_batch.Worker):
    def generate(self, call):
        with open(FOLDER / "begun", "a") as file:
            file.write(f"{os.getpid()} {call['seed']}\\n")

        def hold(pipeline, step, timestep, values):
            if call["seed"] == HELD and step == 10 and not (FOLDER / "held").exists():
                (FOLDER / "held").write_text(str(os.getpid()))
                time.sleep(600)
            return {}

        return super().generate({**call, "callback_on_step_end": hold})


ray_batch.Worker = Counted
sys.exit(ray_batch.main())
"""


@pytest.fixture(scope="module")
def ray_batch():
    spec = importlib.util.spec_from_file_location("ray_batch", EXAMPLES / "ray_batch.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def prompts(tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_text("\n".join(PROMPTS))
    return file


@contextmanager
def started(command):
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES), "RAY_USAGE_STATS_ENABLED": "0"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    program = subprocess.Popen([sys.executable, *map(str, command)], env=environment, start_new_session=True, **pipes)
    try:
        yield program
    finally:
        program.kill()
        program.wait()


def counted(folder, model, prompts, held=-1):
    """The command that makes the images of a file with two workers."""
    script = folder / "counted.py"
    script.write_text(COUNTED)
    return [script, folder, held, model, "--prompts", prompts, "--output", folder / "images", "--workers", 2, "--steps", STEPS]


def finish(command):
    """Runs a command to its end. Returns the exit code and what it has printed."""
    with started(command) as program:
        output, errors = program.communicate(timeout=300)
        return program.returncode, output, errors


def wait_until(condition, program=None):
    end = time.monotonic() + 240
    while not condition():
        assert program is None or program.poll() is None, program.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def images(folder):
    return sorted((folder / "images").glob("*.png"))


def times(folder):
    return {path.name: path.stat().st_mtime_ns for path in images(folder)}


def begun(folder):
    """How often each seed's generation has begun, and the processes that began any."""
    lines = [line.split() for line in (folder / "begun").read_text().splitlines()]
    return Counter(int(seed) for _, seed in lines), {int(process) for process, _ in lines}


def is_running(process):
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def check_images(folder, model):
    """Each prompt has one image: the one that its seed gives in a single process."""
    pipeline = DiffusionPipeline.from_pretrained(model)
    pipeline.set_progress_bar_config(disable=True)
    files = images(folder)
    assert len(files) == len(PROMPTS)
    for seed, (prompt, file) in enumerate(zip(PROMPTS, files)):
        record = json.loads(file.with_suffix(".json").read_text())
        assert record["request"]["call"] == {"prompt": prompt, "seed": seed, "num_inference_steps": STEPS}
        expected = pipeline(prompt, num_inference_steps=STEPS, generator=Generator(seed)).images[0]
        assert numpy.array_equal(numpy.asarray(Image.open(file)), numpy.asarray(expected))
    assert not list((folder / "images").glob(".*"))


def test_a_worker_is_killed(tmp_path, stable_diffusion, prompts):
    with started(counted(tmp_path, stable_diffusion, prompts, held=4)) as program:
        wait_until(lambda: (tmp_path / "held").exists() and len(images(tmp_path)) >= 6, program)
        before = times(tmp_path)
        os.kill(int((tmp_path / "held").read_text()), signal.SIGKILL)
        output, errors = program.communicate(timeout=300)
    assert program.returncode == 0, errors
    assert f"{len(PROMPTS)} made, 0 failed" in output
    check_images(tmp_path, stable_diffusion)
    # The prompt that the worker died with was begun again, and no other.
    counts, processes = begun(tmp_path)
    assert counts == Counter([*range(len(PROMPTS)), 4])
    assert len(processes) >= 2
    after = times(tmp_path)
    assert {name: after[name] for name in before} == before

    # The whole command again makes nothing.
    code, output, _ = finish(counted(tmp_path, stable_diffusion, prompts))
    assert code == 0 and f"{len(PROMPTS)} finished before" in output
    assert times(tmp_path) == after and begun(tmp_path)[0] == counts

    # A row that has changed is made, and only that.
    prompts.write_text("\n".join(["a yellow apple", *PROMPTS[1:]]))
    code, output, errors = finish(counted(tmp_path, stable_diffusion, prompts))
    assert code == 0 and "1 made, 0 failed" in output and "1 images of other requests" in errors
    assert begun(tmp_path)[0] == counts + Counter([0])
    changed = times(tmp_path)
    assert len(changed) == len(PROMPTS) + 1 and {name: changed[name] for name in after} == after


def test_the_program_is_killed(tmp_path, stable_diffusion, prompts):
    with started(counted(tmp_path, stable_diffusion, prompts, held=3)) as program:
        wait_until(lambda: (tmp_path / "held").exists() and len(images(tmp_path)) >= 5, program)
        program.kill()
        program.wait()
    wait_until(lambda: not any(is_running(process) for process in begun(tmp_path)[1]))
    before = times(tmp_path)
    assert 5 <= len(before) < len(PROMPTS)
    code, output, errors = finish(counted(tmp_path, stable_diffusion, prompts))
    assert code == 0, errors
    assert f"{len(before)} finished before" in output and f"{len(PROMPTS) - len(before)} made, 0 failed" in output
    check_images(tmp_path, stable_diffusion)
    counts, _ = begun(tmp_path)
    assert all(counts[int(name[:6])] == 1 for name in before)
    # At most what the two workers were at.
    assert counts.total() <= len(PROMPTS) + 2
    after = times(tmp_path)
    assert {name: after[name] for name in before} == before


def test_requests(ray_batch, tmp_path):
    """A name stands for one request: it changes with everything that the image depends on, and with nothing else."""
    rows = [{"prompt": "a"}, {"prompt": "a"}, {"prompt": "b", "seed": 7, "guidance_scale": 4}]
    settings = {"guidance_scale": 7.5}

    def jobs(rows=rows, settings=settings, model="m", dtype=None, seed=10):
        return ray_batch.make_jobs(rows, settings, model, dtype, seed)

    first = jobs()
    assert [request["call"]["seed"] for request in first.values()] == [10, 11, 7]
    assert [request["call"]["guidance_scale"] for request in first.values()] == [7.5, 7.5, 4]
    assert jobs() == first and list(jobs([*rows, {"prompt": "c"}]))[:3] == list(first)
    others = [jobs(model="n"), jobs(dtype="bfloat16"), jobs(seed=11), jobs(settings={}), jobs([rows[0] | {"seed": 1}])]
    assert not any(next(iter(other)) in first for other in others)
    name, request = next(iter(first.items()))
    ray_batch.write(tmp_path / f"{name}.json", json.dumps({"request": request}).encode())
    assert not ray_batch.is_finished(tmp_path, name, request)
    ray_batch.write(tmp_path / f"{name}.png", b"")
    assert ray_batch.is_finished(tmp_path, name, request)
    assert not ray_batch.is_finished(tmp_path, name, {**request, "model": "n"})


def test_rows_that_fail(ray_batch, tmp_path):
    class Worker(ray_batch.Worker):
        def __init__(self):
            self.folder = tmp_path

        def generate(self, call):
            raise MemoryError("too large")

    assert Worker().finish("row", {"call": {}}) == "MemoryError: too large"
    # What workers leave behind that die three times.
    (tmp_path / ".row.part").write_bytes(b"...")
    assert Worker().finish("row", {"call": {}}) == "its worker died 3 times"
    assert not list(tmp_path.iterdir())


def test_files_of_prompts(ray_batch, tmp_path):
    pandas = pytest.importorskip("pandas")
    rows = [
        {"prompt": 'a "red", round\napple', "seed": 3, "num_inference_steps": 5, "guidance_scale": 2.5},
        {"prompt": "null", "negative_prompt": "2020-01-01", "guidance_scale": 4},
        {"prompt": "12"},
    ]
    names = ["prompt", "negative_prompt", "seed", "num_inference_steps", "guidance_scale"]
    with open(tmp_path / "p.csv", "w", newline="") as file:
        table = csv.DictWriter(file, names)
        table.writeheader()
        table.writerows(rows)
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pandas.DataFrame(rows).to_parquet(tmp_path / "p.parquet")
    for kind in ("csv", "jsonl", "parquet"):
        assert ray_batch.read_rows(tmp_path / f"p.{kind}") == rows
    (tmp_path / "p.txt").write_text("a\n\n b \n")
    assert ray_batch.read_rows(tmp_path / "p.txt") == [{"prompt": "a"}, {"prompt": "b"}]


def test_errors(ray_batch, tmp_path, capsys, monkeypatch):
    def errors(file, *options, text="a"):
        if text is not None:
            (tmp_path / file).write_text(text)
        given = ["ray_batch.py", "m", "--prompts", str(tmp_path / file), "--output", str(tmp_path / "out"), *options]
        monkeypatch.setattr(sys, "argv", given)
        assert ray_batch.main() == 1
        return capsys.readouterr().err

    assert "no such file" in errors("p.txt", text=None)
    assert "must end in" in errors("p.xls")
    assert "row 1 has no prompt" in errors("p.csv", text="prompt,seed\na,1\n,2\n")
    assert "needs a column `prompt`" in errors("p.csv", text="text\na\n")
    assert "whole number, not 0.5" in errors("p.csv", text="prompt,seed\na,0.5\n")
    assert "p.jsonl" in errors("p.jsonl", text="{")
    assert "p.parquet" in errors("p.parquet", text="no table")
    (tmp_path / "file").touch()
    assert "exists" in errors("p.txt", "--output", str(tmp_path / "file"))
    assert "no Ray cluster can be reached there" in errors("p.txt", "--address", "127.0.0.1:1")


def test_errors_of_the_cluster(tmp_path, stable_diffusion):
    (tmp_path / "p.csv").write_text("prompt,stepz\na,1\n")
    for model, expected in ((stable_diffusion, "`stepz`: no argument of StableDiffusionPipeline"), (tmp_path / "no", "no")):
        command = [EXAMPLES / "ray_batch.py", model, "--prompts", tmp_path / "p.csv", "--output", tmp_path / "images"]
        code, _, errors = finish(command)
        last = errors.strip().splitlines()[-1]
        assert code == 1 and last.startswith("error: ") and expected in last
        assert "Traceback" not in errors
