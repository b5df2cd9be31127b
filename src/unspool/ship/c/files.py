"""Export to C: writes the file of a sheet, and compiles and runs it."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

from unspool import __version__
from unspool.errors import UsageError, option
from unspool.ship.c.answers import write_answer
from unspool.ship.c.artefact import CArtefact
from unspool.ship.c.fours import FOUR_TYPES, needed_fours
from unspool.ship.c.main import HEAD, HEADER, LOADER, MAGIC, MAIN, MAIN_LOADS
from unspool.ship.c.maths import PREAMBLE, needed
from unspool.ship.c.memory import CFile
from unspool.ship.c.program import ProgramWriter
from unspool.ship.c.question import write_question, write_replies
from unspool.ship.c.text import write_front
from unspool.ship.c.weights import Weights
from unspool.ship.c.writing import write_writer
from unspool.ship.sheet import Sheet
from unspool.ship.sheet_text import Labels, Replies, TagNames, Writing
from unspool.ship.targets import Options
from unspool.writing import replace_file

__all__ = ["export"]

_NOT_IN_NAMES = frozenset('"\\*?\n\r')
MOST_EMBEDDED = 1 << 20
"""Bytes of weights that stand in the C file itself; larger ones get a file of their own."""


def export(sheet: Sheet, path: Path, options: Options) -> CArtefact:
    """Write a sheet as one C99 file, with a binary file of weights beside it if they exceed a megabyte.

    Args:
        sheet: The model.
        path: The C file.
        options: Choices.

    Raises:
        UsageError: If C can't take the sheet; the message says what stands in the way.
    """
    if path.suffix != ".c":
        raise UsageError(f"a C file ends in .c, and {path.name!r} does not; name {path.stem}.c")
    if odd := _NOT_IN_NAMES.intersection(path.stem):
        raise UsageError(f"the name of a C file stands in its text, and can't hold {min(odd)!r}; name another file")
    file = _written(sheet, Weights(small=options.small))
    if file.weights.nbytes <= MOST_EMBEDDED:
        replace_file(path, _text(file, path, options).encode())
        return CArtefact((path,), sheet)
    file = _written(sheet, Weights(small=options.small, embedded=False))
    beside = path.with_suffix(".bin")
    replace_file(beside, MAGIC + bytes(HEADER - len(MAGIC)) + file.weights.binary())
    replace_file(path, _text(file, path, options).encode())
    return CArtefact((path, beside), sheet)


def _written(sheet: Sheet, weights: Weights) -> CFile:
    """Write all functions of a sheet."""
    file = CFile(weights)
    question = sheet.front.question
    inputs = write_question(file, question) if question is not None else write_front(file, sheet.front)
    if sheet.writer is not None and isinstance(sheet.back, Writing):
        file.answer = write_writer(file, sheet.writer, sheet.back, inputs)
        return file
    if sheet.run is not None and isinstance(sheet.back, Replies):
        values = ProgramWriter(file, "run", sheet.run, inputs, "1").write()
        file.answer = write_replies(file, sheet.back, values[sheet.run.outputs[0].name])
        file.functions.append(RUN.replace("MORE", "        reply(m);\n"))
        return file
    if sheet.run is None or not isinstance(sheet.back, Labels | TagNames):
        raise UsageError(f"a model of the task {sheet.task!r} can't be exported to C yet; try {option('to', 'onnx')}")
    values = ProgramWriter(file, "run", sheet.run, inputs, "UNSPOOL_UNITS").write()
    (port,) = sheet.run.outputs
    file.answer = write_answer(file, sheet.back, values[port.name])
    file.functions.append(RUN.replace("MORE", ""))
    return file


def _text(file: CFile, path: Path, options: Options) -> str:
    """Return the C file."""
    weights, answer = file.weights, file.answer
    binary = None if weights.embedded else weights.binary()
    size = 0 if binary is None else HEADER + len(binary)
    opening = "" if weights.embedded else _OPENING.format(file=f"{path.stem}.bin")
    head = HEAD.format(
        title=(options.title or path.stem).replace("*/", "* /").replace("\n", " "),
        version=__version__,
        name=path.stem,
        help=answer.help,
        comment=answer.comment.replace("m->", ""),
        opening=opening,
    )
    structs = ["enum { TOO_LONG = -1, TOO_MANY = -2 };\n", *file.types, *file.steps]
    fields = [*([] if weights.embedded else ["const unsigned char *weights;"]), *file.fields]
    structs.append("struct model {\n" + "".join(f"    {field}\n" for field in fields) + "};\n")
    constants = "".join(f"#define {name} {value}\n" for name, value in sorted(file.constants.items()))
    constants += f"#define WEIGHT_FILE_SIZE {size}\n" if binary is not None else ""
    defines = "".join(f"#if !defined({name})\n#define {name} {value}\n#endif\n" for name, value in file.defines.items())
    main = [
        "#if !defined(UNSPOOL_NO_MAIN)\n#include <stdio.h>\n#include <stdlib.h>\n",
        *file.printers,
        _main(file, path),
        "#endif\n",
    ]
    return "\n".join(
        part
        for part in [
            head + PREAMBLE + constants + defines,
            weights.definitions(),
            FOUR_TYPES,
            *needed(file.operations),
            *needed_fours(file.fours),
            *file.helpers.values(),
            weights.functions(),
            *structs,
            *file.functions,
            *(
                []
                if binary is None
                else [LOADER.format(file=f"{path.stem}.bin", magic=MAGIC.decode(), header=HEADER, sum=crc32(binary))]
            ),
            *main,
        ]
        if part
    )


def _main(file: CFile, path: Path) -> str:
    text = MAIN
    loads = not file.weights.embedded
    options, help = file.answer.options, file.answer.option_help
    pieces = {
        "VARIABLES": file.answer.variables,
        "FAILS": file.answer.fails,
        "PRINT": file.answer.print,
        "PATH": f'    const char *path = "{path.stem}.bin";\n' if loads else "",
        "LOADS": MAIN_LOADS if loads else "",
        "OPTIONS": (
            '        } else if (strcmp(argv[k], "-m") == 0 && k + 1 < argc) {\n            path = argv[++k];\n'
            if loads
            else ""
        )
        + options,
        "MORE_HELP": ('                "  -m FILE  weights\\n"\n' if loads else "") + help,
        "HELP": file.answer.help,
        "RUN": file.answer.call,
    }
    for name, piece in pieces.items():
        text = text.replace(name, piece)
    return text


_OPENING = """
 * Before the first call, `unspool_open` takes the content of {file}."""

RUN = """\
int unspool_run(struct model *m, const char *text, size_t length, int words);
int unspool_run(struct model *m, const char *text, size_t length, int words)
{
    int count = encode(m, text, length, words);
    if (count > 0) {
        run(m);
MORE    }
    return count;
}
"""
