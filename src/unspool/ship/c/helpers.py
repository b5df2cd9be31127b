"""C99 functions of rows and sequences, for one sequence: what operations of a sheet call."""

from __future__ import annotations

__all__ = ["HELPERS"]

HELPERS = {
    "add_row": """\
static void add_row(float *x, int count, int width, const float *row)
{
    int t, k;
    for (t = 0; t < count; t++)
        for (k = 0; k < width; k++)
            x[(size_t)t * width + k] += row[k];
}
""",
    "softmax_columns": """\
static void softmax_columns(const float *x, int count, int width, int logarithms, float *y)
{
    int t, k;
    for (t = 0; t < count; t++, x += width, y += width) {
        float most = x[0], total = 0.0f, shift;
        for (k = 1; k < width; k++)
            most = x[k] > most ? x[k] : most;
        for (k = 0; k < width; k++) {
            y[k] = op_exp(x[k] - most);
            total += y[k];
        }
        shift = logf(total);
        for (k = 0; k < width; k++)
            y[k] = logarithms ? x[k] - most - shift : y[k] / total;
    }
}
""",
    "softmax_time": """\
static void softmax_time(const float *x, int count, int width, int logarithms, float *y)
{
    int t, k;
    for (k = 0; k < width; k++) {
        float most = -INFINITY, total = 0.0f, shift;
        for (t = 0; t < count; t++)
            most = x[(size_t)t * width + k] > most ? x[(size_t)t * width + k] : most;
        for (t = 0; t < count; t++) {
            float part = op_exp(x[(size_t)t * width + k] - most);
            total += part;
        }
        shift = logf(total);
        for (t = 0; t < count; t++) {
            float part = x[(size_t)t * width + k] - most;
            y[(size_t)t * width + k] = logarithms ? part - shift : op_exp(part) / total;
        }
    }
}
""",
    "normalise_layer": """\
static void normalise_layer(const float *x, int count, int width, float epsilon, float *y)
{
    int t, k;
    for (t = 0; t < count; t++, x += width, y += width) {
        float mean = 0.0f, square = 0.0f, scale;
        for (k = 0; k < width; k++)
            mean += x[k];
        mean /= (float)width;
        for (k = 0; k < width; k++)
            square += (x[k] - mean) * (x[k] - mean);
        scale = sqrtf(square / (float)width + epsilon);
        for (k = 0; k < width; k++)
            y[k] = (x[k] - mean) / scale;
    }
}
""",
    "normalise_length": """\
static void normalise_length(const float *x, int count, int width, float epsilon, float *y)
{
    int t, k;
    for (t = 0; t < count; t++, x += width, y += width) {
        float square = 0.0f, scale;
        for (k = 0; k < width; k++)
            square += x[k] * x[k];
        scale = sqrtf(square);
        scale = scale > epsilon ? scale : epsilon;
        for (k = 0; k < width; k++)
            y[k] = x[k] / scale;
    }
}
""",
    "attend": """\
/* scaled dot-product attention of one query; `shares` has room for each step, and ends as the last head's weights */
static void attend(const float *query, const float *keys, int key_width, const float *values, int value_width,
    int count, int heads, float scale, float *shares, float *y)
{
    int head, t, k, width = key_width / heads, wide = value_width / heads;
    for (k = 0; k < value_width; k++)
        y[k] = 0.0f;
    for (head = 0; head < heads; head++) {
        float most = -INFINITY, total = 0.0f;
        for (t = 0; t < count; t++) {
            const float *key = keys + (size_t)t * key_width + head * width;
            float sum = 0.0f;
            for (k = 0; k < width; k++)
                sum += query[head * width + k] * key[k];
            shares[t] = sum * scale;
            most = shares[t] > most ? shares[t] : most;
        }
        for (t = 0; t < count; t++) {
            shares[t] = op_exp(shares[t] - most);
            total += shares[t];
        }
        for (t = 0; t < count; t++) {
            const float *value = values + (size_t)t * value_width + head * wide;
            shares[t] /= total;
            for (k = 0; k < wide; k++)
                y[head * wide + k] += shares[t] * value[k];
        }
    }
}
""",
    "best_path": """\
/* Viterbi; `back` holds (steps, tags); of equal paths, the lowest tags */
static void best_path(const float *scores, int count, int tags, const float *first, const float *between,
    const float *last, float *best, float *next, uint16_t *back, int32_t *path)
{
    int t, to, from;
    if (count == 0)
        return;
    for (to = 0; to < tags; to++)
        best[to] = first[to] + scores[to];
    for (t = 1; t < count; t++) {
        for (to = 0; to < tags; to++) {
            float most = best[0] + between[to];
            int which = 0;
            for (from = 1; from < tags; from++) {
                float through = best[from] + between[(size_t)from * tags + to];
                if (through > most) {
                    most = through;
                    which = from;
                }
            }
            next[to] = most + scores[(size_t)t * tags + to];
            back[(size_t)t * tags + to] = (uint16_t)which;
        }
        memcpy(best, next, (size_t)tags * sizeof *best);
    }
    path[count - 1] = 0;
    for (to = 1; to < tags; to++)
        if (best[to] + last[to] > best[path[count - 1]] + last[path[count - 1]])
            path[count - 1] = to;
    for (t = count - 1; t > 0; t--)
        path[t - 1] = back[(size_t)t * tags + path[t]];
}
""",
    "position_row": """\
/* row `t` of positions behind a table: sines and cosines (Vaswani et al. 2017, section 3.5) */
static float position(int t, int column, int width)
{
    double angle = t * exp(column / 2 * 2 * (-log(10000.0) / width));
    return (float)(column % 2 ? cos(angle) : sin(angle));
}
""",
}
"""Text by name; the names of functions are those that calls use, except `position`."""
