"""Object files into memory: on Linux by a small linker of our own, elsewhere by LLVM's.

Generated code has no symbol from outside and refers to itself relative to where it is, so linking
means to lay out the sections and to fill in a few distances. It takes a millisecond and leaves LLVM
(60 MB) out of a process that runs what was compiled before.
"""

import ctypes
import mmap
import os
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from mobilenets.engine.targets import arm, x86
from mobilenets.errors import InputError

_ALLOCATED, _NO_BITS, _RELOCATIONS, _SYMBOLS = 0x2, 8, 4, 2
_PAGE = 4096
_PROT_READ_EXECUTE = 0x1 | 0x4


@dataclass(frozen=True)
class LoadedCode:
    """Code in memory. It stays there as long as this object does."""

    symbols: dict[str, int]
    owner: Any

    def address(self, name: str) -> int:
        """A function's address. KeyError where there is no such function."""
        return self.symbols[name]

    def keep(self) -> None:
        """Never free it: threads may run in it until the process is gone.

        What a module holds is freed when the interpreter ends, before the threads do.
        """
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.owner))


def load(code: bytes, names: tuple[str, ...]) -> LoadedCode:
    """An object file's code, ready to run, with the addresses of the functions `names`.

    InputError where the system lets no memory be written first and executed then.
    """
    if sys.platform == "linux" and code[:4] == b"\x7fELF":
        return _load_elf(code, names)
    return _load_by_llvm(code, names)


class _Section(NamedTuple):
    """A section header of ELF64."""

    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    entry: int


def _sections(code: bytes) -> list[_Section]:
    (start,) = struct.unpack_from("<Q", code, 40)
    size, count = struct.unpack_from("<HH", code, 58)
    return [
        _Section(*struct.unpack_from("<IIQQQQIIQQ", code, start + size * i)) for i in range(count)
    ]


def _load_elf(code: bytes, names: tuple[str, ...]) -> LoadedCode:
    sections = _sections(code)
    places, size = _layout(sections)
    block = mmap.mmap(-1, size)
    held = (ctypes.c_char * size).from_buffer(block)
    base = ctypes.addressof(held)
    for index, place in places.items():
        section = sections[index]
        if section.kind != _NO_BITS:
            block[place : place + section.size] = code[section.offset :][: section.size]
    symbols = _read_symbols(code, sections, places)
    for section in sections:
        if section.kind == _RELOCATIONS and section.info in places:
            _relocate(code, section, symbols, (block, base, places[section.info]))
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    if protect(base, size, _PROT_READ_EXECUTE):
        why = os.strerror(ctypes.get_errno())
        raise InputError(f"this system does not let programs make code that runs ({why})")
    found = {name: base + at for name, at in symbols if at is not None and name in names}
    return LoadedCode(found, (block, held))


def _layout(sections: list[_Section]) -> tuple[dict[int, int], int]:
    """Where each section that is needed at run time goes, and the whole size in pages."""
    places, at = {}, 0
    for index, section in enumerate(sections):
        if section.flags & _ALLOCATED:
            at = -(-at // max(1, section.align)) * max(1, section.align)
            places[index] = at
            at += section.size
    return places, max(_PAGE, -(-at // _PAGE) * _PAGE)


def _read_symbols(
    code: bytes, sections: list[_Section], places: dict[int, int]
) -> list[tuple[str, int | None]]:
    """Names and places in the image; None for what is not there."""
    table = next(section for section in sections if section.kind == _SYMBOLS)
    names = sections[table.link]
    result: list[tuple[str, int | None]] = []
    for at in range(table.offset, table.offset + table.size, 24):
        name, _, _, index, value, _ = struct.unpack_from("<IBBHQQ", code, at)
        start = names.offset + name
        text = code[start : code.index(b"\0", start)].decode()
        result.append((text, places[index] + value if index in places else None))
    return result


def _relocate(
    code: bytes,
    section: _Section,
    symbols: list[tuple[str, int | None]],
    image: tuple[mmap.mmap, int, int],
) -> None:
    """Fill in the distances that a section's code leaves open."""
    block, base, start = image
    fill = _RELOCATE[struct.unpack_from("<H", code, 18)[0]]
    for at in range(section.offset, section.offset + section.size, 24):
        offset, info, addend = struct.unpack_from("<QQq", code, at)
        name, target = symbols[info >> 32]
        kind = info & 0xFFFFFFFF
        if target is None:
            raise ValueError(f"the code needs {name or 'something'} from outside")
        place = start + offset
        fill(block, kind, place, (base + place, base + target + addend))


_RELOCATE: dict[int, Callable[[mmap.mmap, int, int, tuple[int, int]], None]] = {
    x86.ELF_MACHINE: x86.relocate,
    arm.ELF_MACHINE: arm.relocate,
}


def _load_by_llvm(code: bytes, names: tuple[str, ...]) -> LoadedCode:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return LoadedCode({name: engine.get_function_address(name) for name in names}, engine)
