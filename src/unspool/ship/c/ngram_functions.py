"""C99 functions that count the n-grams of a text. Constants in capitals, arrays in small letters come from `text`."""

from __future__ import annotations

__all__ = ["BAG", "LOWER_WORD", "SIGMA"]

LOWER_WORD = """\
/* a word in lower case */
static uint8_t *lower_word(struct model *m, const uint8_t *start, const uint8_t *stop, uint8_t *to)
{
    while (start < stop)
        to = put_lower(m, next_code(&start), to);
    return to;
}
"""

SIGMA = """\
/* whether a letter with case stands at the end of, or begins, some characters; marks between do not count */
static int cased_side(struct model *m, const uint8_t *start, const uint8_t *stop, int last)
{
    int cased = 0;
    (void)m;
    while (start < stop) {
        uint32_t code = next_code(&start);
        if (inside(ignorable_bounds, IGNORABLE_BOUNDS, code))
            continue;
        cased = inside(cased_bounds, CASED_BOUNDS, code);
        if (!last)
            return cased;
    }
    return cased;
}

/* a word in lower case; a capital sigma at the end becomes a final one */
static uint8_t *lower_word(struct model *m, const uint8_t *start, const uint8_t *stop, uint8_t *to)
{
    const uint8_t *at = start;
    while (at < stop) {
        const uint8_t *here = at;
        uint32_t code = next_code(&at);
        if (code == 0x3A3 && cased_side(m, start, here, 1) && !cased_side(m, at, stop, 0))
            to = put_code(0x3C2, to);
        else
            to = put_lower(m, code, to);
    }
    return to;
}
"""

BAG = """\
static void count_entry(struct model *m, const uint8_t *start, const uint8_t *stop)
{
    int32_t entry = find(entry_bytes, entry_starts, entry_order, ENTRIES, start, (size_t)(stop - start));
    if (entry >= 0)
        m->bag_counts[entry]++;
}

/* count all pieces of `<word>` */
static void count_pieces(struct model *m, const uint8_t *start, const uint8_t *stop)
{
    const uint8_t *end, *left, *right;
    uint8_t *to = m->piece;
    int size, k;
    *to++ = '<';
    memcpy(to, start, (size_t)(stop - start));
    to += stop - start;
    *to++ = '>';
    end = to;
    for (size = 2; size <= LONGEST_PIECE; size++) {
        left = right = m->piece;
        for (k = 0; k < size && right < end; k++)
            next_code(&right);
        if (right == end) {
            count_entry(m, m->piece, end);
            return;
        }
        for (;;) {
            count_entry(m, left, right);
            if (right == end)
                break;
            next_code(&left);
            next_code(&right);
        }
    }
}

/* find n-grams of words and pieces of words, with weights of length 1 for each of the two */
static void make_bag(struct model *m)
{
    int count = m->written < MOST_WORDS ? m->written : MOST_WORDS, word, length, entry;
    double squares[2] = {0.0, 0.0};
    uint8_t *to = m->lowered;
    memset(m->bag_counts, 0, sizeof m->bag_counts);
    for (word = 0; word < count; word++) {
        const uint8_t *start = m->raw + m->units[word].start, *stop = m->raw + m->units[word].stop;
        m->word_starts[word] = (int32_t)(to - m->lowered);
        *to++ = ' ';
        to = lower_word(m, start, stop, to);
    }
    m->word_starts[count] = (int32_t)(to - m->lowered);
    for (length = 1; length <= ORDERS; length++)
        for (word = 0; word + length <= count; word++)
            count_entry(m, m->lowered + m->word_starts[word], m->lowered + m->word_starts[word + length]);
    if (LONGEST_PIECE > 0)
        for (word = 0; word < count; word++)
            count_pieces(m, m->lowered + m->word_starts[word] + 1, m->lowered + m->word_starts[word + 1]);
    for (entry = 0; entry < ENTRIES; entry++)
        if (m->bag_counts[entry] > 0) {
            double weight = (1.0 + log((double)m->bag_counts[entry])) * entry_rarity[entry];
            squares[IS_WORD(entry)] += weight * weight;
        }
    for (length = 0; length < 2; length++) {
        squares[length] = sqrt(squares[length]);
        squares[length] = squares[length] > 1e-12 ? squares[length] : 1e-12;
    }
    m->bag_count = 0;
    for (entry = 0; entry < ENTRIES; entry++)
        if (m->bag_counts[entry] > 0) {
            double weight = (1.0 + log((double)m->bag_counts[entry])) * entry_rarity[entry];
            m->bag_ids[m->bag_count] = entry;
            m->bag_weights[m->bag_count++] = (float)(weight / squares[IS_WORD(entry)]);
        }
}
"""
