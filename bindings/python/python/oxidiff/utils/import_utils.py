"""Which packages are installed, where diffusers has it: `from oxidiff.utils.import_utils import is_torch_available`."""

from importlib.util import find_spec

#: Packages that are imported by another name.
IMPORTED_AS = {"opencv": "cv2"}


def __getattr__(name):
    if not (name.startswith("is_") and name.endswith("_available")):
        raise AttributeError(f"module 'oxidiff.utils.import_utils' has no attribute '{name}'")
    package = name.removeprefix("is_").removesuffix("_available")

    def is_available():
        return find_spec(IMPORTED_AS.get(package, package)) is not None

    is_available.__name__ = name
    is_available.__doc__ = f"Whether the package {package} is installed."
    return is_available
