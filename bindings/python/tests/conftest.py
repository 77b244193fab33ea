"""What the tests share: small checkpoints, and the largest difference between arrays."""

import shutil
import sys
from pathlib import Path

import numpy
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from tour import CATS, FIXTURES, REPOSITORY, STABLE_DIFFUSION, prepare  # noqa: E402


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    """The paths of small checkpoints by the names that the quicktour has for them."""
    return prepare(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="session")
def stable_diffusion(checkpoints):
    return checkpoints[STABLE_DIFFUSION]


@pytest.fixture(scope="session")
def cats(checkpoints):
    return checkpoints[CATS]


@pytest.fixture(scope="session")
def emoji():
    return str(REPOSITORY / "models" / "emoji-diffusion")


@pytest.fixture
def pipeline(stable_diffusion):
    from oxidiff import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained(stable_diffusion)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture
def copied(tmp_path, stable_diffusion):
    """A checkpoint that a test may damage."""
    return Path(shutil.copytree(stable_diffusion, tmp_path / "copied"))


def largest_difference(left, right):
    left, right = numpy.asarray(left), numpy.asarray(right)
    assert left.shape == right.shape
    return float(numpy.abs(left.astype(numpy.float64) - right.astype(numpy.float64)).max())


__all__ = ["FIXTURES", "largest_difference"]
