"""C99 functions that read a question: compatibility composition, case folding, words, n-grams; and the stored pairs."""

from __future__ import annotations

__all__ = ["ENCODE", "FOLD", "REPLY", "RETRIEVE", "WORDS"]

FOLD = """\
/* the place of a code point in a sorted table; -1 if it is not there */
static int code_place(const uint32_t *codes, int count, uint32_t code)
{
    int low = 0, high = count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (codes[middle] < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && codes[low] == code ? low : -1;
}

/* the canonical combining class of a character */
static int class_of(struct model *m, uint32_t code)
{
    int place = code_place(class_codes, CLASSES, code);
    (void)m;
    return place < 0 ? 0 : class_numbers[place];
}

/* the character that two make; 0 if they make none */
static uint32_t composed(struct model *m, uint32_t first, uint32_t second)
{
    int low = 0, high = COMPOSITES;
    (void)m;
    if (first >= 0x1100 && first < 0x1113 && second >= 0x1161 && second < 0x1176)
        return 0xAC00 + ((first - 0x1100) * 21 + second - 0x1161) * 28;
    if (first >= 0xAC00 && first < 0xD7A4 && (first - 0xAC00) % 28 == 0 && second > 0x11A7 && second < 0x11C3)
        return first + second - 0x11A7;
    while (low < high) {
        int middle = (low + high) / 2;
        const uint32_t *pair = composite_codes + 3 * middle;
        if (pair[0] < first || (pair[0] == first && pair[1] < second))
            low = middle + 1;
        else
            high = middle;
    }
    if (low < COMPOSITES && composite_codes[3 * low] == first && composite_codes[3 * low + 1] == second)
        return composite_codes[3 * low + 2];
    return 0;
}

/* write a text in NFKC, with its case folded, and with one form of apostrophes; returns its characters */
static int fold(struct model *m, const uint8_t *text, const uint8_t *end)
{
    uint32_t *codes = m->codes;
    int count = 0, read = 0, written = 0, starter = -1, last = -1, k;
    for (; text < end && read < MOST_CHARACTERS; read++) {
        uint32_t code = next_code(&text);
        int place = code_place(plain_codes, PLAINS, code);
        if (place < 0) {
            codes[count++] = code;
        } else {
            const uint8_t *at = plain_bytes + plain_starts[place], *stop = plain_bytes + plain_starts[place + 1];
            while (at < stop)
                codes[count++] = next_code(&at);
        }
    }
    for (k = 1; k < count; k++) { /* marks in the order of their classes */
        uint32_t code = codes[k];
        int class = class_of(m, code), to = k;
        if (class > 0)
            for (; to > 0 && class_of(m, codes[to - 1]) > class; to--)
                codes[to] = codes[to - 1];
        codes[to] = code;
    }
    for (k = 0; k < count; k++) {
        uint32_t code = codes[k], both;
        int class = class_of(m, code);
        if (starter >= 0 && last < class && (both = composed(m, codes[starter], code)) != 0) {
            codes[starter] = both;
            continue;
        }
        if (class == 0) {
            starter = written;
            last = -1;
        } else {
            last = class;
        }
        codes[written++] = code;
    }
    count = 0;
    for (k = 0; k < written && count < MOST_CHARACTERS; k++) {
        int place = code_place(folded_codes, FOLDS, codes[k]);
        if (place < 0) {
            m->folded[count++] = codes[k] == 0x2019 ? '\\'' : codes[k];
        } else {
            const uint8_t *at = folded_bytes + folded_starts[place], *stop = folded_bytes + folded_starts[place + 1];
            while (at < stop && count < MOST_CHARACTERS)
                m->folded[count++] = next_code(&at);
        }
    }
    return count;
}
"""

WORDS = """\
static int is_space(struct model *m, uint32_t code)
{
    int k;
    (void)m;
    for (k = 0; k < SPACES; k++)
        if (space_codes[k] == code)
            return 1;
    return 0;
}

static int is_word(struct model *m, int place, int count)
{
    return place < count && inside(word_bounds, WORD_BOUNDS, m->folded[place]);
}

/* order of two entries: first by bytes, then by content */
static int entry_before(struct model *m, struct entry a, struct entry b)
{
    if (a.length != b.length)
        return a.length < b.length;
    return memcmp(m->words + a.start, m->words + b.start, (size_t)a.length) < 0;
}

static void sift(struct model *m, int root, int count)
{
    for (;;) {
        struct entry moved = m->others[root];
        int child = 2 * root + 1;
        if (child >= count)
            return;
        if (child + 1 < count && entry_before(m, m->others[child], m->others[child + 1]))
            child++;
        if (!entry_before(m, moved, m->others[child]))
            return;
        m->others[root] = m->others[child];
        m->others[child] = moved;
        root = child;
    }
}

static void count_entry(struct model *m, const uint8_t *start, const uint8_t *stop)
{
    int32_t entry = find(entry_bytes, entry_starts, entry_order, ENTRIES, start, (size_t)(stop - start));
    if (entry >= 0) {
        m->bag_counts[entry]++;
    } else {
        m->others[m->other_count].start = (int32_t)(start - m->words);
        m->others[m->other_count++].length = (int32_t)(stop - start);
    }
}

/* count the pieces of a word between < and > */
static void count_pieces(struct model *m, const uint8_t *start, const uint8_t *end)
{
    int size, k;
    for (size = SHORTEST_PIECE; size <= LONGEST_PIECE; size++) {
        const uint8_t *left = start, *right = start;
        for (k = 0; k < size && right < end; k++)
            next_code(&right);
        if (right == end) {
            count_entry(m, start, end);
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

/* find the words of a question, and the weights of their entries; writes the words, joined by blanks, as `form` */
static int find_words(struct model *m, const uint8_t *text, const uint8_t *end)
{
    int count = fold(m, text, end), at = 0, words = 0, entry, k;
    uint8_t *to = m->words, *form = m->form;
    double unknown = 0.0;
    memset(m->bag_counts, 0, sizeof m->bag_counts);
    m->other_count = 0;
    m->form_end = 0;
    while (at < count) {
        int start = at;
        uint8_t *bounded;
        if (is_space(m, m->folded[at])) {
            at++;
            continue;
        }
        if (is_word(m, at++, count))
            while (is_word(m, at, count) || (at < count && m->folded[at] == '\\'' && is_word(m, at + 1, count)))
                at++;
        *to++ = ' ';
        for (k = start; k < at; k++)
            to = put_code(m->folded[k], to);
        bounded = to;
        *to++ = '<';
        for (k = start; k < at; k++)
            to = put_code(m->folded[k], to);
        *to++ = '>';
        if (words++ > 0)
            *form++ = ' ';
        memcpy(form, bounded + 1, (size_t)(to - bounded) - 2);
        form += (to - bounded) - 2;
        if (words == 1 || at - start > 1 || !is_mark(m->folded[start]))
            m->form_end = (int32_t)(form - m->form);
        count_entry(m, bounded - (to - bounded - 2) - 1, bounded);
        count_pieces(m, bounded, to);
    }
    m->form_length = (int32_t)(form - m->form);
    for (k = m->other_count / 2 - 1; k >= 0; k--)
        sift(m, k, m->other_count);
    for (k = m->other_count - 1; k > 0; k--) {
        struct entry last = m->others[k];
        m->others[k] = m->others[0];
        m->others[0] = last;
        sift(m, 0, k);
    }
    for (k = 0; k < m->other_count; k = at) {
        double weight;
        for (at = k + 1; at < m->other_count && !entry_before(m, m->others[k], m->others[at]); at++)
            ;
        weight = 1.0 + log((double)(at - k));
        unknown += weight * weight * UNKNOWN_SQUARE;
    }
    m->unknown[0] = (float)unknown;
    m->bag_count = 0;
    for (entry = 0; entry < ENTRIES; entry++)
        if (m->bag_counts[entry] > 0) {
            m->bag_ids[m->bag_count] = entry;
            m->bag_weights[m->bag_count++] = (float)(1.0 + log((double)m->bag_counts[entry])) * entry_weights[entry];
        }
    return words;
}
"""

ENCODE = """\
/* read a question; returns the number of its words, or a negative number if it is too long */
static int encode(struct model *m, const char *text, size_t length, int words)
{
    size_t size, k;
    m->count = 0;
    if (length > UNSPOOL_BYTES)
        return TOO_LONG;
    size = clean((const uint8_t *)text, length, m->raw);
    for (k = 0; words && k < size; k++)
        if (m->raw[k] == '\\t')
            m->raw[k] = ' ';
    return m->count = find_words(m, m->raw, m->raw + size);
}
"""

RETRIEVE = """\
/* compare a bag with stored keys, by common entries and by dense vectors */
static void retrieve(struct model *m, float *scores)
{
    float *x = m->entry_values, *vector = m->question_vector, total = 0.0f, norms[2], norm = 0.0f;
    int t, k, key;
    memset(m->entry_values, 0, sizeof m->entry_values);
    memset(m->question_vector, 0, sizeof m->question_vector);
    for (t = 0; t < m->bag_count; t++) {
        x[m->bag_ids[t]] = importance[m->bag_ids[t]] * m->bag_weights[t];
        total += x[m->bag_ids[t]] * x[m->bag_ids[t]];
    }
    total += m->unknown[0];
    total = sqrtf(total > 1e-30f ? total : 1e-30f);
    norms[0] = norms[1] = 0.0f;
    for (t = 0; t < m->bag_count; t++) {
        int entry = m->bag_ids[t];
        x[entry] /= total;
        norms[1] += x[entry] * x[entry];
        if (entry >= ENTRY_VECTORS)
            continue;
        norms[0] += x[entry] * x[entry];
        READ_VECTOR
        for (k = 0; k < VECTOR_WIDTH; k++)
            vector[k] += x[entry] * m->entry_vector[k];
    }
    for (k = 0; k < 2; k++)
        norms[k] = sqrtf(norms[k] > 1e-30f ? norms[k] : 1e-30f);
    for (k = 0; k < VECTOR_WIDTH; k++)
        norm += vector[k] * vector[k];
    norm = sqrtf(norm);
    for (k = 0; k < VECTOR_WIDTH; k++)
        vector[k] *= norms[0] / (norm > 1e-12f ? norm : 1e-12f);
    MULTIPLY
    for (key = 0; key < KEYS; key++) {
        double common = 0.0;
        uint32_t place;
        for (place = key_starts[key]; place < key_starts[key + 1]; place++)
            common += key_values[place] * x[key_ids[place]];
        scores[key] = (float)common + BALANCE * scores[key];
        scores[key] /= 1.0f + BALANCE * (norms[0] / norms[1]) * key_shares[key];
    }
}
"""

REPLY = """\
/* choose the pair that answers: of pairs with this wording the best one, else the best of all if that is sure */
static void reply(struct model *m)
{
    int32_t form = find(exact_bytes, exact_starts, exact_order, EXACT, m->form, (size_t)m->form_length);
    uint32_t k;
    int key, best = -1;
    if (form >= 0)
        for (k = exact_pairs_starts[form]; k < exact_pairs_starts[form + 1]; k++)
            if (best < 0 || SCORES[exact_pairs[k]] > SCORES[best])
                best = (int)exact_pairs[k];
    if (best < 0) {
        form = find(bare_bytes, bare_starts, bare_order, BARE, m->form, (size_t)m->form_end);
        if (form >= 0)
            for (k = bare_pairs_starts[form]; k < bare_pairs_starts[form + 1]; k++)
                if (best < 0 || SCORES[bare_pairs[k]] > SCORES[best])
                    best = (int)bare_pairs[k];
    }
    m->confidence = 1.0;
    if (best < 0) {
        double distance;
        best = 0;
        for (key = 1; key < KEYS; key++)
            if (SCORES[key] > SCORES[best])
                best = key;
        distance = SCALE * (NOTHING - (double)SCORES[best]);
        m->confidence = 1.0 / (1.0 + exp(distance < 700.0 ? distance : 700.0));
    }
    m->pair = best;
    m->known = m->confidence >= THRESHOLD;
}

/* the answer as UTF-8, and its bytes; no zero byte follows */
const char *unspool_reply(struct model *m, size_t *length)
{
    int answer = m->known ? m->pair : KEYS;
    *length = answer_starts[answer + 1] - answer_starts[answer];
    return (const char *)answer_bytes + answer_starts[answer];
}
"""
