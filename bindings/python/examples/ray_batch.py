#!/usr/bin/env python3
"""Makes an image for each prompt of a file, on the machines of a Ray cluster.

    pip install "ray[data]"
    python ray_batch.py MODEL --prompts prompts.csv --output images --workers 2

The output folder receives NAME.png and NAME.json, the request that the image answers, for each prompt. NAME is the number
of the row and a digest of the request, so a name never stands for two different images. Run the same command again to go
on after an interruption: images that are there are not made again.

The machines need oxidiff, the model under the same name, and the output folder on storage that they share.
"""

import argparse
import hashlib
import inspect
import json
import logging
import os
import socket
import sys
import time
import uuid
from io import BytesIO
from math import ceil
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet
import ray
import ray.data

# How often a prompt may cost a worker its life. Ray by itself would go on forever.
TRIES = 3

# Arguments of a call that a column cannot hold, or that would make more or less than one image of a row.
RESERVED = {"generator", "latents", "num_images_per_prompt", "output_type", "return_dict", "others", "self"}


def read_rows(path):
    """The rows of a file of prompts: dictionaries without the values that are missing."""
    kind = path.suffix.lower()
    if kind == ".txt":
        rows = [{"prompt": line.strip()} for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    elif kind == ".jsonl":
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        if not all(isinstance(row, dict) for row in rows):
            raise ValueError("each line must be a JSON object")
    elif kind == ".csv":
        # Texts stay texts, whatever they look like. An empty cell is a missing value.
        texts = {"prompt": "string", "negative_prompt": "string"}
        convert = pyarrow.csv.ConvertOptions(column_types=texts, null_values=[""], strings_can_be_null=True)
        parse = pyarrow.csv.ParseOptions(newlines_in_values=True)
        rows = pyarrow.csv.read_csv(path, parse_options=parse, convert_options=convert).to_pylist()
    elif kind == ".parquet":
        rows = pyarrow.parquet.read_table(path).to_pylist()
    else:
        raise ValueError("must end in .txt, .jsonl, .csv or .parquet")
    return [{name: plain(value) for name, value in row.items() if not missing(value)} for row in rows]


def missing(value):
    return value is None or value != value


def plain(value):
    # pandas turns a column of whole numbers with gaps into floats.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def make_jobs(rows, settings, model, dtype, base_seed):
    """The request of each row, by the name of its image.

    The seed follows from the row alone, so that an image depends neither on the worker nor on the order of the work.
    """
    jobs = {}
    for number, row in enumerate(rows):
        call = {"seed": base_seed + number, **settings, **row}
        if not isinstance(call.get("prompt"), str) or not call["prompt"].strip():
            raise ValueError(f"row {number} has no prompt; a file of prompts needs a column `prompt` of texts")
        if type(call["seed"]) is not int:
            raise ValueError(f"row {number}: the seed must be a whole number, not {call['seed']!r}")
        request = {"model": model, "dtype": dtype, "call": call}
        try:
            digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
        except TypeError as error:
            raise ValueError(f"row {number}: {error}") from None
        jobs[f"{number:06}-{digest[:12]}"] = request
    return jobs


def is_finished(folder, name, request):
    """Whether the image is there, made by this very request."""
    try:
        record = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        return record["request"] == request and (folder / f"{name}.png").is_file()
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write(path, data):
    """Writes a file that is there as a whole or not at all, whatever dies meanwhile."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


class Worker:
    """Holds the pipeline in a process of its own. When the process dies, Ray starts another and hands it the same prompts."""

    def __init__(self, model, dtype, folder):
        # The machine that starts the program does not need the package.
        from oxidiff import DiffusionPipeline

        self.folder = folder
        self.pipeline = DiffusionPipeline.from_pretrained(model, dtype=dtype)
        self.pipeline.set_progress_bar_config(disable=True)

    def __call__(self, batch):
        pairs = zip(batch["name"].tolist(), map(json.loads, batch["request"].tolist()))
        return {"name": batch["name"], "error": [self.finish(name, request) for name, request in pairs]}

    def finish(self, name, request):
        """Returns what went wrong, or an empty text."""
        # Ray hands a batch out again as a whole when its worker has died.
        if is_finished(self.folder, name, request):
            return ""
        tries = self.folder / f".{name}.part"
        try:
            # A byte for each try: a worker that dies leaves it behind. Ray's own limit would not do, because it also counts
            # its attempts to reach a machine that is lost.
            with open(tries, "ab") as file:
                file.write(b".")
            if tries.stat().st_size > TRIES:
                return f"its worker died {TRIES} times"
            start = time.monotonic()
            image = BytesIO()
            self.generate(request["call"]).save(image, "png")
            record = {
                "image": f"{name}.png",
                "request": request,
                "seconds": round(time.monotonic() - start, 3),
                "host": socket.gethostname(),
                "pid": os.getpid(),
            }
            # The image comes last: where it is, so is its record.
            write(self.folder / f"{name}.json", json.dumps(record, indent=2, ensure_ascii=False).encode())
            write(self.folder / f"{name}.png", image.getvalue())
        except Exception as error:  # The other rows go on.
            return f"{type(error).__name__}: {error}"
        finally:
            tries.unlink(missing_ok=True)
        return ""

    def generate(self, call):
        """One image by itself: in a call with others, its last bits could depend on them."""
        from oxidiff import Generator

        arguments = {name: value for name, value in call.items() if name != "seed"}
        return self.pipeline(**arguments, generator=Generator(call["seed"])).images[0]


@ray.remote
def call_arguments(model):
    """The arguments that the model's pipeline takes. Asked on the cluster, where the model is."""
    from oxidiff import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained(model)
    return type(pipeline).__name__, set(inspect.signature(type(pipeline).__call__).parameters)


def check_arguments(jobs, model, needs):
    kind, known = ray.get(call_arguments.options(**needs).remote(model))
    known = known - RESERVED | {"seed"}
    unknown = {name for request in jobs.values() for name in request["call"]} - known
    if unknown:
        names = ", ".join(f"`{name}`" for name in sorted(unknown))
        raise ValueError(f"{names}: no argument of {kind} that a column can give; these are: {', '.join(sorted(known))}")


def connect(arguments):
    if arguments.address not in ("local", "auto"):
        host, _, port = arguments.address.rpartition("/")[2].rpartition(":")
        try:
            # Ray itself would try for many minutes.
            socket.create_connection((host, int(port)), timeout=10).close()
        except (OSError, ValueError) as error:
            raise ValueError(f"{arguments.address}: no Ray cluster can be reached there: {error}") from None
    # Images go to the output folder, not through Ray's memory: a small store will do.
    cpus = max(arguments.workers * (arguments.cpus or 1), os.cpu_count())
    local = {"num_cpus": cpus, "object_store_memory": 200 << 20, "include_dashboard": False}
    options = local if arguments.address == "local" else {}
    ray.init(address=arguments.address, logging_level=logging.ERROR, **options)
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    ray.data.DataContext.get_current().enable_progress_bars = False


def needs_of_worker(arguments):
    cpus = arguments.cpus or max(1, int(ray.cluster_resources()["CPU"]) // arguments.workers)
    return {"num_cpus": cpus, "runtime_env": {"env_vars": {"RAYON_NUM_THREADS": str(cpus)}}}


def results(jobs, arguments, model, needs):
    """The names of the jobs as they finish, each with its error or an empty text."""
    rows = [{"name": name, "request": json.dumps(request)} for name, request in jobs.items()]
    # A block is what a worker is handed, unless that makes too many of them.
    blocks = min(ceil(len(rows) / arguments.batch_size), 10_000)
    dataset = ray.data.from_items(rows, override_num_blocks=blocks).map_batches(
        Worker,
        fn_constructor_args=(model, arguments.dtype, arguments.output),
        batch_size=arguments.batch_size,
        # Without a queue of its own, a worker that is slow or lost holds up only what it is at.
        compute=ray.data.ActorPoolStrategy(size=min(arguments.workers, blocks), max_tasks_in_flight_per_actor=1),
        **needs,
    )
    for row in dataset.iter_rows():
        yield row["name"], row["error"]


def run(arguments):
    if not arguments.prompts.is_file():
        raise ValueError(f"{arguments.prompts}: no such file")
    try:
        rows = read_rows(arguments.prompts)
        # The same request wherever the program is started.
        model = str(Path(arguments.model).resolve()) if Path(arguments.model).exists() else arguments.model
        settings = {name: plain(value) for name in SETTINGS if (value := getattr(arguments, name)) is not None}
        jobs = make_jobs(rows, settings, model, arguments.dtype, arguments.seed)
    except ValueError as error:
        raise ValueError(f"{arguments.prompts}: {error}") from None
    folder = arguments.output = arguments.output.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise ValueError(f"{folder}: cannot be written to")
    for leftover in folder.glob(".[0-9]*-*.part"):
        leftover.unlink()

    todo = {name: request for name, request in jobs.items() if not is_finished(folder, name, request)}
    others = sum(path.stem not in jobs for path in folder.glob("??????-????????????.png"))
    print(f"{len(jobs)} prompts, {len(jobs) - len(todo)} finished before", flush=True)
    if others:
        print(f"note: {folder} also holds {others} images of other requests", file=sys.stderr)
    if not todo:
        return 0

    connect(arguments)
    needs = needs_of_worker(arguments)
    check_arguments(todo, model, needs)
    failed = {}
    for count, (name, error) in enumerate(results(todo, arguments, model, needs), 1):
        if error:
            failed[name] = error
        print(f"[{count}/{len(todo)}] {name}.png", "failed" if error else "", flush=True)
    for name, error in failed.items():
        print(f"error: {name}: {error}", file=sys.stderr)
    print(f"{len(todo) - len(failed)} made, {len(failed)} failed")
    return 1 if failed else 0


def at_least_one(text):
    if int(text) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return int(text)


# Options of the command line that are arguments of the call.
SETTINGS = ("num_inference_steps", "guidance_scale", "negative_prompt", "height", "width")


def parser():
    about, _, details = __doc__.partition("\n\n")
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=about, epilog=details, formatter_class=form)
    add = parser.add_argument
    add("model", metavar="MODEL", help="a folder, or the name of a model on the hub; changes of its files go unnoticed")
    add("--prompts", type=Path, required=True, metavar="FILE",
        help="a .txt with a prompt a line, or a .jsonl, .csv or .parquet with the column `prompt`; its other columns are "
        "arguments of the call, such as `seed` and `negative_prompt`, and take precedence over the options")
    add("--output", type=Path, required=True, metavar="FOLDER", help="where images and their requests are written")
    add("--workers", type=at_least_one, default=1, metavar="N", help="processes, each with the model (default: 1)")
    add("--cpus", type=at_least_one, metavar="N", help="threads of a worker (default: the cluster's, shared out evenly)")
    add("--batch-size", type=at_least_one, default=1, metavar="N", help="prompts that a worker is handed at once (default: 1)")
    add("--address", default="local", metavar="CLUSTER",
        help="the address of a Ray cluster, or `auto` on one of its machines (default: Ray is started on this machine)")
    add("--seed", type=int, default=0, metavar="BASE", help="row N without a seed gets the seed BASE + N (default: 0)")
    add("--dtype", choices=("float32", "float16", "bfloat16"), help="what to compute in (default: float32)")
    add("--steps", type=at_least_one, dest="num_inference_steps", metavar="N", help="denoising steps")
    add("--guidance-scale", type=float, metavar="X", help="how strongly images follow their prompts")
    add("--negative-prompt", metavar="TEXT", help="what images should not show")
    add("--height", type=at_least_one, metavar="PIXELS", help="height of the images")
    add("--width", type=at_least_one, metavar="PIXELS", help="width of the images")
    return parser


def main():
    try:
        return run(parser().parse_args())
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    except ray.exceptions.RayError as error:
        print(f"error: {getattr(error, 'cause', None) or error}", file=sys.stderr)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
