"""What code is generated for: vector width, registers, and the register blocking they allow."""

from dataclasses import dataclass

import llvmlite.binding as llvm


@dataclass(frozen=True)
class Target:
    """A processor as LLVM names it, and the shape of the kernels for it.

    `lanes` floats are in a vector; a matrix kernel keeps `pixels` x `vectors` sums in registers.
    """

    name: str
    triple: str
    cpu: str
    features: str
    lanes: int
    pixels: int
    vectors: int


def host() -> Target:
    """The processor this runs on."""
    has = dict(llvm.get_host_cpu_features())
    triple, cpu = llvm.get_process_triple(), llvm.get_host_cpu_name()
    if triple.startswith(("aarch64", "arm64")):
        return Target("neon", triple, cpu, "+neon", 4, 6, 4)
    features = ",".join(f"{'+' if on else '-'}{name}" for name, on in has.items())
    if has.get("avx512f") and has.get("avx512vl") and has.get("avx512dq"):
        return Target("avx512", triple, cpu, features + ",-prefer-256-bit", 16, 14, 2)
    if has.get("avx2") and has.get("fma"):
        return Target("avx2", triple, cpu, features, 8, 6, 2)
    return Target("sse", triple, "x86-64", "+sse2", 4, 6, 2)
