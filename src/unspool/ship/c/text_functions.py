"""C99 functions that read a text. Constants in capitals and arrays in small letters are defined by `text`."""

from __future__ import annotations

__all__ = [
    "BAG",
    "CHARACTER_ID",
    "CHARACTER_UNITS",
    "CODES",
    "ENCODE",
    "FIND",
    "INSIDE",
    "LOWER",
    "LOWER_WORD",
    "NORMALISE",
    "PUT_CODE",
    "SIGMA",
    "SPELL",
    "SPLIT_BLANKS",
    "SPLIT_WORDS",
    "WORD_UNITS",
]

CODES = """\
/* copy UTF-8; every piece that is no character becomes U+FFFD, as in Python's "replace" */
static size_t clean(const uint8_t *text, size_t length, uint8_t *to)
{
    const uint8_t *start = to;
    size_t i = 0, k;
    while (i < length) {
        uint8_t first = text[i], low = 0x80, high = 0xBF;
        size_t need = first < 0x80 ? 0 : first < 0xC2 ? 9 : first < 0xE0 ? 1 : first < 0xF0 ? 2 : first < 0xF5 ? 3 : 9;
        size_t have = 1;
        if (first == 0xE0)
            low = 0xA0;
        if (first == 0xED)
            high = 0x9F;
        if (first == 0xF0)
            low = 0x90;
        if (first == 0xF4)
            high = 0x8F;
        while (need < 9 && have <= need && i + have < length && text[i + have] >= low && text[i + have] <= high) {
            have++;
            low = 0x80;
            high = 0xBF;
        }
        if (need < 9 && have == need + 1) {
            for (k = 0; k < have; k++)
                *to++ = text[i + k];
        } else {
            *to++ = 0xEF;
            *to++ = 0xBF;
            *to++ = 0xBD;
        }
        i += have;
    }
    return (size_t)(to - start);
}

/* the next code point of clean UTF-8 */
static uint32_t next_code(const uint8_t **at)
{
    const uint8_t *p = *at;
    uint32_t first = p[0];
    if (first < 0x80) {
        *at = p + 1;
        return first;
    }
    if (first < 0xE0) {
        *at = p + 2;
        return (first & 31u) << 6 | (p[1] & 63u);
    }
    if (first < 0xF0) {
        *at = p + 3;
        return (first & 15u) << 12 | (p[1] & 63u) << 6 | (p[2] & 63u);
    }
    *at = p + 4;
    return (first & 7u) << 18 | (p[1] & 63u) << 12 | (p[2] & 63u) << 6 | (p[3] & 63u);
}
"""

PUT_CODE = """\
static uint8_t *put_code(uint32_t code, uint8_t *to)
{
    if (code < 0x80) {
        *to++ = (uint8_t)code;
    } else if (code < 0x800) {
        *to++ = (uint8_t)(0xC0 | code >> 6);
        *to++ = (uint8_t)(0x80 | (code & 63));
    } else if (code < 0x10000) {
        *to++ = (uint8_t)(0xE0 | code >> 12);
        *to++ = (uint8_t)(0x80 | (code >> 6 & 63));
        *to++ = (uint8_t)(0x80 | (code & 63));
    } else {
        *to++ = (uint8_t)(0xF0 | code >> 18);
        *to++ = (uint8_t)(0x80 | (code >> 12 & 63));
        *to++ = (uint8_t)(0x80 | (code >> 6 & 63));
        *to++ = (uint8_t)(0x80 | (code & 63));
    }
    return to;
}
"""

INSIDE = """\
/* whether a code point has a property, from the sorted code points where the property begins and ends */
static int inside(const uint32_t *bounds, int count, uint32_t code)
{
    int low = 0, high = count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (bounds[middle] <= code)
            low = middle + 1;
        else
            high = middle;
    }
    return low % 2;
}
"""

FIND = """\
/* the place of a string among sorted ones; -1 if there is none */
static int32_t find(const uint8_t *bytes, const uint32_t *starts, const uint32_t *order, int count,
    const uint8_t *word, size_t length)
{
    int low = 0, high = count;
    while (low < high) {
        int middle = (low + high) / 2, sign;
        size_t size = starts[order[middle] + 1] - starts[order[middle]];
        sign = memcmp(bytes + starts[order[middle]], word, size < length ? size : length);
        if (sign == 0)
            sign = size < length ? -1 : size > length;
        if (sign == 0)
            return (int32_t)order[middle];
        if (sign < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}
"""

CHARACTER_ID = """\
static int32_t character_id(const uint32_t *codes, const int32_t *ids, int count, uint32_t code)
{
    int low = 0, high = count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (codes[middle] < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && codes[low] == code ? ids[low] : 1;
}
"""

LOWER = """\
/* one character in lower case; the Turkish capital I becomes two */
static uint8_t *put_lower(struct model *m, uint32_t code, uint8_t *to)
{
    int low = 0, high = LOWER_RANGES;
    (void)m;
    if (code == 0x130)
        return put_code(0x307, put_code('i', to));
    while (low < high) {
        int middle = (low + high) / 2;
        if (lower_ranges[middle * 4] <= (int32_t)code)
            low = middle + 1;
        else
            high = middle;
    }
    if (low > 0) {
        const int32_t *range = lower_ranges + (low - 1) * 4;
        if ((int32_t)code <= range[1] && ((int32_t)code - range[0]) % range[2] == 0)
            code = (uint32_t)((int32_t)code + range[3]);
    }
    return put_code(code, to);
}
"""

NORMALISE = """\
/* copy clean text for the look-up: in lower case, with 0 for the digits 1 to 9, as the model has it */
static size_t normalise(struct model *m, const uint8_t *text, size_t length, uint8_t *to)
{
    const uint8_t *end = text + length, *start = to;
    (void)m;
    while (text < end) {
        uint32_t code = next_code(&text);
        if (DIGITS_TO_ZERO && code >= '1' && code <= '9')
            code = '0';
        to = PUT_NORMAL;
    }
    return (size_t)(to - start);
}
"""

SPLIT_BLANKS = """\
static int is_space(struct model *m, uint32_t code)
{
    int k;
    (void)m;
    for (k = 0; k < SPACES; k++)
        if (space_codes[k] == code)
            return 1;
    return 0;
}

/* move from `*at` behind the next unit, and return where it starts; NULL if there is none */
static const uint8_t *next_unit(struct model *m, const uint8_t **at, const uint8_t *end)
{
    const uint8_t *start = *at, *next;
    for (next = start; start < end && is_space(m, next_code(&next)); start = next)
        ;
    for (next = *at = start; *at < end && !is_space(m, next_code(&next)); *at = next)
        ;
    return start < end ? start : NULL;
}
"""

SPLIT_WORDS = """\
static int is_space(struct model *m, uint32_t code)
{
    int k;
    (void)m;
    for (k = 0; k < SPACES; k++)
        if (space_codes[k] == code)
            return 1;
    return 0;
}

static int is_word(struct model *m, uint32_t code)
{
    (void)m;
    return inside(word_bounds, WORD_BOUNDS, code);
}

/* the end of a special unit, `<unk>` and the like in any case; NULL if there is none */
static const uint8_t *special(const uint8_t *at, const uint8_t *end)
{
    static const char *const names[] = {"pad", "unk", "eos"};
    int which, k;
    for (which = 0; which < 3; which++) {
        const uint8_t *p = at + 1;
        for (k = 0; k < 3 && p < end; k++) {
            uint32_t code = next_code(&p), want = (uint32_t)names[which][k];
            if (!(code == want || code == want - 32 || (want == 's' && code == 0x17F)
                    || (want == 'k' && code == 0x212A)))
                break;
        }
        if (k == 3 && p < end && *p == '>')
            return p + 1;
    }
    return NULL;
}

/* move from `*at` behind the next unit, and return where it starts; NULL if there is none */
static const uint8_t *next_unit(struct model *m, const uint8_t **at, const uint8_t *end)
{
    const uint8_t *start = *at, *next = start;
    uint32_t code = 0;
    while (start < end) {
        code = next_code(&next);
        if (!is_space(m, code))
            break;
        start = next;
    }
    if (start >= end) {
        *at = end;
        return NULL;
    }
    *at = next;
    if (code == '<') {
        const uint8_t *stop = special(start, end);
        if (stop)
            *at = stop;
    }
    if (!is_word(m, code))
        return start;
    while (*at < end) {
        next = *at;
        code = next_code(&next);
        if ((code == '\\'' || code == 0x2019) && next < end && is_word(m, next_code(&next)))
            *at = next;
        else if (is_word(m, code))
            *at = next;
        else
            break;
    }
    return start;
}
"""

WORD_UNITS = """\
static int32_t unit_id(struct model *m, const uint8_t *start, const uint8_t *stop)
{
    int32_t id = find(unit_bytes, unit_starts, unit_order, UNITS, start, (size_t)(stop - start));
    (void)m;
    return id < 0 ? 1 : id;
}

/* write the units of clean text, and their ids; with `words`, tabs part the units */
static int find_units(struct model *m, size_t size, int words)
{
    const uint8_t *at = m->raw, *end = m->raw + size, *start, *stop;
    int count = 0;
    m->written = 0;
    if (words) {
        for (start = at; size > 0; start = stop + 1) {
            for (stop = start; stop < end && *stop != '\\t'; stop++)
                ;
            if (m->written == UNSPOOL_UNITS)
                return TOO_MANY;
            m->units[m->written].start = (int32_t)(start - m->raw);
            m->units[m->written++].stop = (int32_t)(stop - m->raw);
            m->ids[count++] = unit_id(m, NORMAL, NORMAL + NORMALISED(start, (size_t)(stop - start)));
            if (stop == end)
                break;
        }
        return count;
    }
    while ((start = next_unit(m, &at, end)) != NULL) {
        if (m->written == UNSPOOL_UNITS)
            return TOO_MANY;
        m->units[m->written].start = (int32_t)(start - m->raw);
        m->units[m->written++].stop = (int32_t)(at - m->raw);
    }
    at = WHOLE;
    end = at + NORMALISED(m->raw, size);
    while ((start = next_unit(m, &at, end)) != NULL) {
        if (count == m->written)
            break;
        m->ids[count++] = unit_id(m, start, at);
    }
    return count;
}
"""

CHARACTER_UNITS = """\
/* write the characters of clean text, and their ids; with `words`, tabs part words, and count as blanks */
static int find_units(struct model *m, size_t size, int words)
{
    const uint8_t *at = m->raw, *end = m->raw + size;
    int count = 0;
    m->written = 0;
    if (words) {
        uint8_t *tab;
        int32_t start = 0;
        for (tab = m->raw; tab < end; tab++) {
            if (*tab == '\\t') {
                *tab = ' ';
                if (m->written == UNSPOOL_UNITS - 1)
                    return TOO_MANY;
                m->units[m->written].start = start;
                m->units[m->written++].stop = (int32_t)(tab - m->raw);
                start = (int32_t)(tab - m->raw) + 1;
            }
        }
        m->units[m->written].start = start;
        m->units[m->written++].stop = (int32_t)size;
    }
    while (at < end) {
        const uint8_t *start = at, *normal = NORMAL, *stop;
        next_code(&at);
        stop = NORMAL + NORMALISED(start, (size_t)(at - start));
        while (normal < stop) {
            uint32_t code = next_code(&normal);
            if (count == UNSPOOL_UNITS)
                return TOO_MANY;
            if (!words) {
                m->units[m->written].start = (int32_t)(start - m->raw);
                m->units[m->written++].stop = (int32_t)(at - m->raw);
            }
            m->ids[count++] = character_id(unit_codes, unit_ids, UNITS, code);
        }
    }
    return count;
}
"""

SPELL = """\
/* write the ids of a unit's characters; of a long one, those of the first and of the last half */
static void spell(struct model *m, int unit)
{
    const uint8_t *start = m->raw + m->units[unit].start, *end = m->raw + m->units[unit].stop, *at;
    int count = 0, number = 0;
    for (at = start; at < end; count++)
        next_code(&at);
    m->letter_count = 0;
    for (at = start; at < end; number++) {
        uint32_t code = next_code(&at);
        if (count <= LONGEST_SPELLED || number < LONGEST_SPELLED / 2 || number >= count - LONGEST_SPELLED / 2)
            m->letters[m->letter_count++] = character_id(letter_codes, letter_ids, LETTERS, code);
    }
    if (count == 0)
        m->letters[m->letter_count++] = character_id(letter_codes, letter_ids, LETTERS, 0xFFFD);
}
"""

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

ENCODE = """\
/* read a text; returns the number of its units, or a negative number if the text is too long */
static int encode(struct model *m, const char *text, size_t length, int words)
{
    int count;
    m->count = 0;
    if (length > UNSPOOL_BYTES)
        return TOO_LONG;
    count = find_units(m, clean((const uint8_t *)text, length, m->raw), words);
    if (count > 0)
        m->count = count;
    return count;
}
"""
