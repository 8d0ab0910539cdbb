"""What Pillow and the libraries under it say of a damaged image stays off the terminal.

Whether a picture can be read is said by `images`, in one line that names the file. Beside that,
Pillow warns of broken EXIF blocks and of sizes, and logs errors; libtiff writes to the terminal
by itself.
"""

import ctypes
import logging
import re
import warnings
from functools import cache

from PIL import _imaging

_OURS = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
"""A filter as `warnings.filters` holds it: all that Pillow's modules warn of."""


def quiet() -> None:
    """Let neither speak in this process. Threads may call it at once, and as often as they like.

    `warnings.catch_warnings` would not do: one thread's end of it is another's warning.
    """
    _silence_log()
    if not warnings.filters or warnings.filters[0] != _OURS:
        warnings.filterwarnings("ignore", module=r"PIL\.")
    _silence_libtiff()


@cache
def _silence_log() -> None:
    """Pillow logs errors, which Python prints where nobody listens."""
    logging.getLogger("PIL").addHandler(logging.NullHandler())


@cache
def _silence_libtiff() -> None:
    """Take away the functions with which libtiff prints, where it can be reached."""
    try:
        library = ctypes.CDLL(_imaging.__file__)  # what this library is linked to is found too
        for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
            function = getattr(library, name)
            function.restype, function.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
            function(None)
    except (OSError, AttributeError):
        return  # linked into Pillow, or not there
