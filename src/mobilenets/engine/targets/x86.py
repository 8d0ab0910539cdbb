"""x86-64: its targets, its word for spinning, Linux's futex, and how its code is linked."""

import mmap
import struct

from mobilenets.engine.targets.target import CYCLES, Target

_TRIPLE = "x86_64-unknown-linux-gnu"
NAMES = ("x86_64", "amd64")
"""What a triple begins with."""
AVX512 = Target(
    "avx512", _TRIPLE, "skylake-avx512", "+avx512f,+avx512vl,+avx512dq,-prefer-256-bit", 16, 14, 2,
    32, CYCLES, "llvm.x86.avx512.pmaddw.d.512",
)  # fmt: skip
AVX2 = Target(
    "avx2", _TRIPLE, "haswell", "+avx2,+fma", 8, 6, 2, 16, CYCLES, "llvm.x86.avx2.pmadd.wd"
)  # fmt: skip
SSE = Target("sse", _TRIPLE, "x86-64", "+sse2", 4, 6, 2, 16, CYCLES, "llvm.x86.sse2.pmadd.wd")

FUTEX = 202
"""The number of Linux's system call."""
PAUSE = ("llvm.x86.sse2.pause", ())
"""LLVM's intrinsic that tells the core that this is a spinning loop, and its i32 arguments."""
ELF_MACHINE = 62
"""What an ELF file's header says."""


def relocate(block: mmap.mmap, kind: int, place: int, ends: tuple[int, int]) -> None:
    """Fill in what an ELF relocation leaves open, at `place` in the image `block`.

    `ends`: the addresses of the place and of what it refers to. Known are PC32 and PLT32
    (distances), PC64, and 64 (an address); ValueError for any other `kind`.
    """
    here, there = ends
    if kind in (2, 4):
        struct.pack_into("<i", block, place, there - here)
    elif kind == 24:
        struct.pack_into("<q", block, place, there - here)
    elif kind == 1:
        struct.pack_into("<Q", block, place, there)
    else:
        raise ValueError(f"relocation {kind} of x86-64 is not known")
