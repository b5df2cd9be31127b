"""C99 that answers: what stands around a program of a sheet, and how `main` prints it."""

from __future__ import annotations

import numpy as np

from unspool.ship.c.memory import Answer, CFile, Value
from unspool.ship.c.text import add_strings
from unspool.ship.sheet_text import Labels, TagNames

__all__ = ["write_answer"]


def write_answer(file: CFile, back: Labels | TagNames, value: Value) -> Answer:
    """Write `static void print_answer(struct model *m, int all)`, which prints one answer without its end."""
    add_strings(file, "name", back.names, sought=False)
    file.write(_NAME, public=True)
    if isinstance(back, TagNames):
        file.write(_PRINT_NAME + _TAGS, {"PATH": value.place}, printing=True)
        return Answer(
            "the tags of a text, parted by tabs", f"{value.place}[0 .. count - 1], numbers for `unspool_name`"
        )
    names = {"SHARES": value.place, "LABELS": str(value.width)}
    if back.several:
        thresholds = np.full(value.width, 0.5) if back.thresholds is None else back.thresholds
        file.weights.add("thresholds", thresholds.astype(np.float64))
        names |= {"CHOSEN": f"{value.place}[best] >= thresholds[best]", "MOST": str(value.width)}
    else:
        names |= {"CHOSEN": "1", "MOST": "1"}
    file.room("order", value.width, "int32_t")
    file.write(_PRINT_NAME + _LABELS, names, printing=True)
    what = "all labels whose probability is high enough" if back.several else "the most probable label"
    return Answer(
        f"{what}, each with its probability",
        f"{value.place}[0 .. {value.width - 1}], probabilities of the labels that `unspool_name` names",
    )


_NAME = """\
/* a label or tag as UTF-8, and its bytes; no zero byte follows */
const char *unspool_name(struct model *m, int name, size_t *length)
{
    (void)m;
    *length = name_starts[name + 1] - name_starts[name];
    return (const char *)name_bytes + name_starts[name];
}
"""

_PRINT_NAME = """\
static void print_name(struct model *m, int name)
{
    size_t length;
    const char *bytes = unspool_name(m, name, &length);
    fwrite(bytes, 1, length, stdout);
}

"""

_LABELS = """\
/* print the most probable labels, of equal ones the first; with `all`, the probabilities of all labels in order */
static void print_answer(struct model *m, int all)
{
    int k, place, printed = 0;
    if (all) {
        for (k = 0; k < LABELS; k++)
            printf(k ? "\\t%.9g" : "%.9g", (double)SHARES[k]);
        return;
    }
    for (k = 0; k < LABELS; k++) {
        for (place = k; place > 0 && SHARES[m->order[place - 1]] < SHARES[k]; place--)
            m->order[place] = m->order[place - 1];
        m->order[place] = k;
    }
    for (k = 0; k < MOST; k++) {
        int32_t best = m->order[k];
        if (!(CHOSEN))
            continue;
        if (printed++)
            putchar('\\t');
        print_name(m, best);
        printf(" %.4f", (double)SHARES[best]);
    }
}
"""

_TAGS = """\
/* print the tag of each unit; with `all`, their numbers */
static void print_answer(struct model *m, int all)
{
    int t;
    for (t = 0; t < m->count; t++) {
        if (t)
            putchar('\\t');
        if (all)
            printf("%d", (int)PATH[t]);
        else
            print_name(m, PATH[t]);
    }
}
"""
