"""How much the package says, by the functions that diffusers has for it: `logging.set_verbosity_error()`.

The messages go to Python's logger `oxidiff`.
"""

import logging as _logging

CRITICAL, ERROR, WARNING, INFO, DEBUG = (
    _logging.CRITICAL, _logging.ERROR, _logging.WARNING, _logging.INFO, _logging.DEBUG,
)
FATAL, WARN, NOTSET = _logging.FATAL, _logging.WARNING, _logging.NOTSET


def get_logger(name=None):
    """The logger of this name; by default the package's."""
    return _logging.getLogger("oxidiff" if name is None else name)


def get_verbosity():
    """The level from which on the package's messages are shown."""
    return get_logger().getEffectiveLevel()


def set_verbosity(verbosity):
    """Sets the level from which on the package's messages are shown."""
    get_logger().setLevel(verbosity)


def set_verbosity_error():
    """Shows errors only."""
    set_verbosity(ERROR)


def set_verbosity_warning():
    """Shows warnings and errors."""
    set_verbosity(WARNING)


def set_verbosity_info():
    """Shows messages of information, too."""
    set_verbosity(INFO)


def set_verbosity_debug():
    """Shows everything."""
    set_verbosity(DEBUG)
