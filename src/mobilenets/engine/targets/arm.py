"""64-bit ARM: its target, its word for spinning, Linux's futex, and how its code is linked."""

import mmap
import struct

from mobilenets.engine.targets.target import Target

NEON = Target(
    "neon", "aarch64-unknown-linux-gnu", "generic", "+neon", 4, 6, 4, 32, "cntvct_el0", ""
)  # fmt: skip
NAMES = ("aarch64", "arm64")
"""What a triple begins with: Linux's and LLVM's name, and Apple's."""

FUTEX = 98
"""The number of Linux's system call."""
PAUSE = ("llvm.aarch64.hint", (1,))
"""LLVM's intrinsic that tells the core that this is a spinning loop (yield), and its arguments."""
ELF_MACHINE = 183
"""What an ELF file's header says."""
_SHIFTS = {277: 0, 278: 0, 284: 1, 285: 2, 286: 3, 299: 4}
"""Relocations of an offset in a page, by the size of what lies there, as a power of two."""


def relocate(block: mmap.mmap, kind: int, place: int, ends: tuple[int, int]) -> None:
    """Fill in what an ELF relocation leaves open, at `place` in the image `block`.

    `ends`: the addresses of the place and of what it refers to. Known are branches, pages and
    offsets in pages, distances, and addresses; ValueError for any other `kind`.
    """
    here, there = ends
    if kind in (257, 260, 261):
        known = {257: ("<Q", there), 260: ("<q", there - here), 261: ("<i", there - here)}
        struct.pack_into(known[kind][0], block, place, known[kind][1])
        return
    (word,) = struct.unpack_from("<I", block, place)
    if kind in (282, 283):  # a branch
        word |= ((there - here) >> 2) & 0x3FFFFFF
    elif kind == 275:  # the page
        pages = (there >> 12) - (here >> 12)
        word |= (pages & 3) << 29 | ((pages >> 2) & 0x7FFFF) << 5
    elif kind in _SHIFTS:  # the offset in the page
        word |= ((there & 0xFFF) >> _SHIFTS[kind]) << 10
    else:
        raise ValueError(f"relocation {kind} of aarch64 is not known")
    struct.pack_into("<I", block, place, word)
