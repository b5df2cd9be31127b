"""WebAssembly modules from LLVM's object files: exports are added, and what only linkers read is left out.

An object file is a module whose code already holds the right numbers; it lacks exports, and names its functions in the
custom section `linking` (WebAssembly tool conventions, "Linking", section "Symbol table").
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["imports_of", "link"]

_HEAD = b"\0asm\1\0\0\0"
_IMPORT, _EXPORT = 2, 7
_SYMBOLS, _FUNCTION, _UNDEFINED, _NAMED = 8, 0, 0x10, 0x40


class _Section(NamedTuple):
    kind: int
    content: bytes


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def number(self) -> int:
        """Read an unsigned LEB128 number."""
        result = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            result |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return result

    def bytes(self, count: int) -> bytes:
        self.at += count
        return self.data[self.at - count : self.at]

    def name(self) -> str:
        return self.bytes(self.number()).decode()

    @property
    def more(self) -> bool:
        return self.at < len(self.data)


def link(code: bytes) -> bytes:
    """Return a module that exports every function of an object file under its name."""
    sections = list(_sections(code))
    names = next(reader for kind, reader in _custom(sections) if kind == "linking")
    exports = [_text(name) + b"\0" + _leb(index) for name, index in _functions(names)]
    added = _Section(_EXPORT, _leb(len(exports)) + b"".join(exports))
    kept = [section for section in sections if section.kind]
    place = next((n for n, section in enumerate(kept) if section.kind > _EXPORT), len(kept))
    kept.insert(place, added)
    return _HEAD + b"".join(bytes([kind]) + _leb(len(content)) + content for kind, content in kept)


def imports_of(module: bytes) -> list[str]:
    """Return the names of the functions that a module imports."""
    names = []
    for section in _sections(module):
        reader = _Reader(section.content)
        for _ in range(reader.number() if section.kind == _IMPORT else 0):
            reader.name()
            name, kind = reader.name(), reader.bytes(1)[0]
            if kind == _FUNCTION:
                names.append(name)
                reader.number()
            elif kind == 3:  # a global
                reader.bytes(2)
            else:  # a table begins with its type; then limits
                reader.bytes(1 if kind == 1 else 0)
                for _ in range(2 if reader.number() & 1 else 1):
                    reader.number()
    return names


def _sections(code: bytes) -> list[_Section]:
    assert code.startswith(_HEAD), "no WebAssembly"
    reader, sections = _Reader(code[len(_HEAD) :]), []
    while reader.more:
        kind = reader.bytes(1)[0]
        sections.append(_Section(kind, reader.bytes(reader.number())))
    return sections


def _custom(sections: list[_Section]) -> list[tuple[str, _Reader]]:
    readers = [_Reader(section.content) for section in sections if section.kind == 0]
    return [(reader.name(), reader) for reader in readers]


def _functions(reader: _Reader) -> list[tuple[str, int]]:
    """Return names and numbers of the functions that the section `linking` defines."""
    functions = []
    reader.number()  # version
    while reader.more:
        kind = reader.bytes(1)[0]
        table = _Reader(reader.bytes(reader.number()))
        for _ in range(table.number() if kind == _SYMBOLS else 0):
            symbol, flags = table.bytes(1)[0], table.number()
            if symbol == _FUNCTION or symbol == 2:  # a global has the same form
                index = table.number()
                if not flags & _UNDEFINED:
                    name = table.name()
                    functions += [(name, index)] if symbol == _FUNCTION else []
                elif flags & _NAMED:
                    table.name()
            else:
                raise AssertionError(f"the object file has a symbol of kind {symbol}, such as data")
    return functions


def _leb(number: int) -> bytes:
    result = bytearray()
    while True:
        byte = number & 127
        number >>= 7
        result.append(byte | (128 if number else 0))
        if not number:
            return bytes(result)


def _text(name: str) -> bytes:
    return _leb(len(name.encode())) + name.encode()
