"""The targets by name, and which of them fits the processor that this runs on."""

from dataclasses import replace

import llvmlite.binding as llvm

from mobilenets.engine.targets import arm, x86
from mobilenets.engine.targets.target import Target
from mobilenets.errors import InputError

TARGETS = {target.name: target for target in (x86.AVX512, x86.AVX2, x86.SSE, arm.NEON)}
"""Every kind that code can be made for, each for a plain processor of that kind under Linux."""


def host() -> Target:
    """The best target for the processor this runs on, with LLVM's name for it and its features.

    InputError for a processor of another family: there is no code for it.
    """
    has = dict(llvm.get_host_cpu_features())
    triple, cpu = llvm.get_process_triple(), llvm.get_host_cpu_name()
    if triple.startswith(arm.NAMES):
        return replace(arm.NEON, triple=triple, cpu=cpu)
    if not triple.startswith(x86.NAMES):
        known = ", ".join((*x86.NAMES, *arm.NAMES))
        raise InputError(f"the engine makes code for {known}; this processor is {triple}")
    features = ",".join(f"{'+' if on else '-'}{name}" for name, on in has.items())
    if has.get("avx512f") and has.get("avx512vl") and has.get("avx512dq") and has.get("avx512bw"):
        wide = features + ",-prefer-256-bit"
        return replace(x86.AVX512, triple=triple, cpu=cpu, features=wide)
    if has.get("avx2") and has.get("fma"):
        return replace(x86.AVX2, triple=triple, cpu=cpu, features=features)
    return replace(x86.SSE, triple=triple)
