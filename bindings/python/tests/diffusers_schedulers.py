"""Runs diffusers' own tests of schedulers on the classes of this package.

    python diffusers_schedulers.py CHECKOUT

CHECKOUT is a folder with diffusers' repository. The tests import the schedulers from `diffusers`, where this program puts
those of this package first; everything else that the tests use comes from diffusers: from CHECKOUT, or the installed one.
Needs pytest, torch, scipy and torchsde. Exits with 1 if a test fails that `KNOWN_FAILURES` does not list, or one passes
that it lists.
"""

import os
import sys
from collections import Counter, defaultdict
from pathlib import Path

# The checkout stays as it is, and nothing is fetched.
sys.dont_write_bytecode = True
os.environ["HF_HUB_OFFLINE"] = "1"

import pytest  # noqa: E402
from tour import FIXTURES  # noqa: E402

import oxidiff  # noqa: E402
from oxidiff import schedulers  # noqa: E402

CLASSES = {name: getattr(schedulers, name) for name in schedulers.__all__ if name != "SchedulerMixin"}

PRIVATE_METHOD = "calls the private method `_get_variance`"
PAST_PREDICTIONS = "replaces the predictions of earlier steps (`scheduler.ets`), which are not Python's here"
BETAS_ABOVE_1 = "a β above 1 is refused: ᾱ would be negative, and its root is not a number"

#: Tests that fail, and why.
KNOWN_FAILURES = {
    "test_scheduler_ddim.py::DDIMSchedulerTest::test_betas": BETAS_ABOVE_1,
    "test_scheduler_ddim.py::DDIMSchedulerTest::test_variance": PRIVATE_METHOD,
    "test_scheduler_ddim_inverse.py::DDIMInverseSchedulerTest::test_betas": BETAS_ABOVE_1,
    "test_scheduler_ddim_inverse.py::DDIMInverseSchedulerTest::test_thresholding":
        "passes `thresholding`, an argument that diffusers' class does not have and ignores; it is refused",
    "test_scheduler_ddpm.py::DDPMSchedulerTest::test_betas": BETAS_ABOVE_1,
    "test_scheduler_ddpm.py::DDPMSchedulerTest::test_variance": PRIVATE_METHOD,
    "test_scheduler_ddpm.py::DDPMSchedulerTest::test_variance_type":
        "passes `variance_type=\"other\"`, which does not exist; it is refused",
    "test_scheduler_ipndm.py::IPNDMSchedulerTest::test_trained_betas":
        "reads `betas` of a class whose `trained_betas` are noise levels; it has no schedule of β",
    "test_scheduler_lcm.py::LCMSchedulerTest::test_betas": BETAS_ABOVE_1,
    "test_scheduler_pndm.py::PNDMSchedulerTest::test_betas": PAST_PREDICTIONS,
    "test_scheduler_pndm.py::PNDMSchedulerTest::test_inference_steps": PAST_PREDICTIONS,
    "test_scheduler_pndm.py::PNDMSchedulerTest::test_prediction_type": PAST_PREDICTIONS,
    "test_scheduler_pndm.py::PNDMSchedulerTest::test_schedules": PAST_PREDICTIONS,
    "test_scheduler_pndm.py::PNDMSchedulerTest::test_step_shape": PAST_PREDICTIONS,
    "test_scheduler_pndm.py::PNDMSchedulerTest::test_steps_offset": PAST_PREDICTIONS,
    "test_scheduler_pndm.py::PNDMSchedulerTest::test_time_indices": PAST_PREDICTIONS,
    "test_scheduler_pndm.py::PNDMSchedulerTest::test_timesteps": PAST_PREDICTIONS,
    "test_scheduler_tcd.py::TCDSchedulerTest::test_betas": BETAS_ABOVE_1,
    "test_scheduler_unclip.py::UnCLIPSchedulerTest::test_variance_fixed_small_log": PRIVATE_METHOD,
    "test_scheduler_unclip.py::UnCLIPSchedulerTest::test_variance_learned_range": PRIVATE_METHOD,
}

#: Tests of diffusers' base classes on classes that the tests define themselves.
OF_BASE_CLASSES = (
    "test_save_load_from_different_config",
    "test_save_load_compatible_schedulers",
    "test_save_load_from_different_config_comp_schedulers",
)


#: Attributes that the tests replace by made-up predictions of earlier steps.
DUMMIES = ("ets", "model_outputs", "timestep_list", "lower_order_nums")


def ignore_dummies():
    """Lets tests set the predictions of earlier steps, which this package refuses. Those that do compare two schedulers with the
    same predictions; here, the two have none."""
    refuse = oxidiff.SchedulerMixin.__setattr__

    def ignore(scheduler, name, value):
        if name not in DUMMIES:
            refuse(scheduler, name, value)

    oxidiff.SchedulerMixin.__setattr__ = ignore


class LocalPipeline:
    """`DiffusionPipeline`, which loads a checkpoint of this repository for the one on the hub that the tests name."""

    @staticmethod
    def from_pretrained(name, **kwargs):
        # The scheduler of that one has the default spacing.
        scheduler = oxidiff.PNDMScheduler(skip_prk_steps=True)
        return oxidiff.DiffusionPipeline.from_pretrained(
            FIXTURES / "pipelines" / "sd1", scheduler=scheduler, **kwargs
        )


class Results:
    """A plugin of pytest that leaves out tests of what this package does not have, and counts results."""

    def __init__(self):
        self.counts = defaultdict(Counter)
        self.reasons = Counter()
        self.passed = set()
        self.failures = {}

    def leave_out(self, file, reason):
        self.counts[file]["left out"] += 1
        self.reasons[reason] += 1

    def pytest_collection_modifyitems(self, items):
        kept = []
        for item in items:
            reason = reason_to_leave_out(item)
            if reason is None:
                kept.append(item)
            else:
                self.leave_out(item.path.name, reason)
        items[:] = kept

    def pytest_collectreport(self, report):
        if report.failed:
            self.failures[report.nodeid] = report.longreprtext

    def pytest_runtest_logreport(self, report):
        test = report.nodeid.removeprefix("tests/schedulers/")
        file = test.split("::")[0]
        if report.failed:
            self.counts[file]["failed"] += 1
            self.failures[test] = report.longreprtext
        elif report.skipped:
            self.leave_out(file, "diffusers skips them")
        elif report.when == "call":
            self.counts[file]["passed"] += 1
            self.passed.add(test)


def reason_to_leave_out(item):
    """Why a test says nothing about this package; `None` if it does."""
    if item.name in OF_BASE_CLASSES:
        return "they test diffusers' base classes on classes of their own"
    classes = getattr(item.cls, "scheduler_classes", None)
    if classes == ():
        return "they belong to the base class of the tests, which has no scheduler"
    if classes is None and item.path.name != "test_schedulers.py":
        classes = [value for name, value in vars(item.module).items()
                   if isinstance(value, type) and name.endswith("Scheduler")]
    missing = [kind.__name__ for kind in classes or () if CLASSES.get(kind.__name__) is not kind]
    return f"oxidiff has no {' and no '.join(missing)}" if missing else None


def report(results):
    """Prints the results. Returns whether they are those expected."""
    width = max(map(len, results.counts))
    print(f"{'':{width}}  passed  failed  left out")
    for file, counts in [*sorted(results.counts.items()), ("", sum(results.counts.values(), Counter()))]:
        print(f"{file:{width}}  {counts['passed']:6}  {counts['failed']:6}  {counts['left out']:8}")
    print("\nLeft out:")
    for reason, count in results.reasons.most_common():
        print(f"  {count:4}  {reason}")
    print("\nKnown failures:")
    for reason, count in Counter(KNOWN_FAILURES[test] for test in results.failures if test in KNOWN_FAILURES).items():
        print(f"  {count:4}  {reason}")
    unknown = [test for test in results.failures if test not in KNOWN_FAILURES]
    for test in unknown:
        print(f"\nFAILED {test}\n{results.failures[test]}")
    mended = results.passed & KNOWN_FAILURES.keys()
    for test in sorted(mended):
        print(f"\nPASSED, though it is listed as a failure: {test}")
    return not unknown and not mended


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    checkout = Path(sys.argv[1]).resolve()
    if (checkout / "src" / "diffusers").is_dir():
        sys.path.insert(0, str(checkout / "src"))
    import diffusers

    for name, kind in {**CLASSES, "DiffusionPipeline": LocalPipeline}.items():
        setattr(diffusers, name, kind)
    ignore_dummies()
    results = Results()
    options = ["-c", os.devnull, f"--rootdir={checkout}", "-p", "no:cacheprovider", "-q", "--tb=short", "--no-summary"]
    status = pytest.main([*options, str(checkout / "tests" / "schedulers")], plugins=[results])
    if not results.passed:
        sys.exit(f"no test has passed: pytest ended with {status!r}")
    sys.exit(0 if report(results) else 1)


if __name__ == "__main__":
    main()
