"""How torch's large tensors get their memory on Linux."""

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h


def keep_memory() -> None:
    """Let glibc keep what is freed and hand it out again; nothing elsewhere.

    By default each tensor above 32 MB is mapped anew and given back when it is freed, so that the
    kernel clears every page of it in every step: on two cores that is half of the time of a
    training step at 320 pixels.
    """
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, -1)  # as a size: never
