"""C99 that writes: `start` and `step` of a sheet, greedy choice and sampling, and units to text."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from unspool.ship.c.maths import literal
from unspool.ship.c.memory import Answer, CFile, Value
from unspool.ship.c.program import ProgramWriter
from unspool.ship.c.subwords import byte_names
from unspool.ship.c.text import add_strings
from unspool.ship.sheet import Writer
from unspool.ship.sheet_text import Units, Writing

__all__ = ["write_writer"]


def write_writer(file: CFile, writer: Writer, back: Writing, inputs: Mapping[str, Value]) -> Answer:
    """Write `unspool_begin`, `unspool_next` and what prints a text.

    A writer whose `start` reads no text takes it as the beginning of what it writes, and does not stop at the end unit.
    """
    units = back.units
    prompted = not writer.start.inputs
    started = ProgramWriter(file, "start", writer.start, inputs, "UNSPOOL_UNITS").write()
    file.room("unit", 1, "int32_t")
    file.fields.append("int32_t last;")
    before = {"id": Value("id", 1, "m->unit"), **started}
    values = ProgramWriter(file, "step", writer.step, before, "UNSPOOL_UNITS").write()
    scores, *after = (values[port.name] for port in writer.step.outputs)
    copies = [
        f"    memcpy({started[name].place}, {value.place}, {value.width} * sizeof(float));"
        for name, value in zip(writer.state, after, strict=False)
    ]
    file.function("static void advance(struct model *m)", ["    m->unit[0] = m->last;", "    step(m);", *copies])
    file.weights.add("never", np.array(writer.never or [-1], np.int32))
    _add_names(file, units)
    stops = f"id == {writer.end}" if writer.end >= 0 else "0"
    limit = f"(long)((float)m->count * {literal(writer.ratio)} + {literal(writer.longest)})"
    names = {
        "SCORES": scores.place,
        "WIDTH": str(scores.width),
        "LIMIT": limit if writer.longest else "200",
        "NEVER": str(max(1, len(writer.never))),
        "FIRST": str(writer.first),
        "STOPS": stops,
        "PROMPT": "    for (k = 0; k < m->count; k++) {\n        advance(m);\n        m->last = m->ids[k];\n    }\n"
        if prompted
        else "",
        "VARIABLES": "    int k;\n" if prompted else "",
        "NOTHING": "count < 0" if prompted else "count <= 0",
    }
    file.write(_CHOOSE, names)
    file.write(_BEGIN, names, public=True)
    file.write(_LIMIT, names, public=True)
    file.write(_NEXT, names, public=True)
    file.write(_UNIT_TEXT, public=True)
    joins = str(int(units.units in ("word", "blank")))
    file.write(_PRINT, {"JOINED": joins, "PROMPTED": str(int(prompted))}, printing=True)
    return Answer(
        "the text and how it goes on" if prompted else "the text that it becomes",
        "the units that `unspool_next` returns, one by one",
        call="unspool_begin(&memory, line, length, words)",
        print="print_answer(&memory, all, longest, temperature, &random, line, length)",
        fails="count < 0" if prompted else "count <= 0",
        variables="    long longest = -1;\n    double temperature = 0.0;\n    uint64_t random = 1;\n",
        options=_OPTIONS,
        option_help=_OPTION_HELP.format(longest="as many as the model allows" if writer.longest else "200"),
    )


def _add_names(file: CFile, units: Units) -> None:
    """Add the text of each unit; padding, and the end of a text among characters, have none."""
    if units.units in ("bpe", "unigram"):
        add_strings(file, "written", byte_names(units), sought=False)
        return
    joined = units.units != "character"
    names = ["" if id == 0 else name for id, name in enumerate(units.names)]
    if not joined:
        names[1:3] = ["\ufffd", ""]
    else:
        names[2:3] = ["\n"]
    add_strings(file, "written", names, sought=False)


_CHOOSE = """\
/* a number from 0 to 1, exclusive: SplitMix64 (Steele, Lea and Flood 2014) */
static double uniform(uint64_t *random)
{
    uint64_t z = *random += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return (double)((z ^ z >> 31) >> 11) / 9007199254740992.0;
}

static int may_write(struct model *m, int id)
{
    int k;
    (void)m;
    for (k = 0; k < NEVER; k++)
        if (never[k] == id)
            return 0;
    return 1;
}

/* the most probable unit, of equal ones the first; at a temperature above 0, one that is drawn */
static int choose(struct model *m, double temperature, uint64_t *random)
{
    int best = -1, id;
    double total = 0.0, left;
    for (id = 0; id < WIDTH; id++)
        if (may_write(m, id) && (best < 0 || SCORES[id] > SCORES[best]))
            best = id;
    if (!(temperature > 0.0))
        return best;
    for (id = 0; id < WIDTH; id++)
        if (may_write(m, id))
            total += exp(((double)SCORES[id] - SCORES[best]) / temperature);
    left = uniform(random) * total;
    for (id = 0; id < WIDTH; id++)
        if (may_write(m, id)) {
            left -= exp(((double)SCORES[id] - SCORES[best]) / temperature);
            if (left < 0.0)
                return id;
        }
    return best;
}
"""

_BEGIN = """\
/* read a text; returns the number of its units, or a negative number */
int unspool_begin(struct model *m, const char *text, size_t length, int words)
{
    int count = encode(m, text, length, words);
VARIABLES    if (NOTHING)
        return count;
    start(m);
    m->last = FIRST;
PROMPT    return count;
}
"""

_LIMIT = """\
/* units of a text at most, after `unspool_begin` */
long unspool_limit(struct model *m)
{
    (void)m;
    return LIMIT;
}
"""

_NEXT = """\
/* write one unit, and return its number; -1 if the text ends. `random` is read only at temperatures above 0 */
int unspool_next(struct model *m, double temperature, uint64_t *random)
{
    int id;
    advance(m);
    id = choose(m, temperature, random);
    if (STOPS)
        return -1;
    m->last = id;
    return id;
}
"""

_UNIT_TEXT = """\
/* a unit as UTF-8, and its bytes; no zero byte follows */
const char *unspool_unit(struct model *m, int id, size_t *length)
{
    (void)m;
    *length = written_starts[id + 1] - written_starts[id];
    return (const char *)written_bytes + written_starts[id];
}
"""

_PRINT = """\
/* print the text and how it goes on; with `all`, what is written alone */
static void print_answer(struct model *m, int all, long longest, double temperature, uint64_t *random,
    const char *text, size_t length)
{
    long number, most = longest < 0 ? unspool_limit(m) : longest;
    int id, last = PROMPTED && !all ? m->last : 2;
    if (PROMPTED && !all)
        fwrite(text, 1, length, stdout);
    for (number = 0; number < most && (id = unspool_next(m, temperature, random)) >= 0; number++) {
        size_t size;
        const char *bytes = unspool_unit(m, id, &size);
        if (JOINED && id != 2 && last != 2)
            putchar(' ');
        fwrite(bytes, 1, size, stdout);
        last = id;
    }
}
"""

_OPTIONS = """\
        } else if (strcmp(argv[k], "-n") == 0 && k + 1 < argc) {
            longest = strtol(argv[++k], NULL, 10);
        } else if (strcmp(argv[k], "-t") == 0 && k + 1 < argc) {
            temperature = strtod(argv[++k], NULL);
        } else if (strcmp(argv[k], "-s") == 0 && k + 1 < argc) {
            random = strtoul(argv[++k], NULL, 10);
"""
_OPTION_HELP = """\
                "  -n N  units to write at most, {longest} if omitted\\n"
                "  -t T  temperature; at 0, the default, each unit is the most probable one\\n"
                "  -s N  seed of the random numbers, 1 if omitted\\n"
"""
