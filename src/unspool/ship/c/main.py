"""C99 around a model: the head of the file, the functions for callers, the loader, and a `main` that reads lines."""

from __future__ import annotations

__all__ = ["HEAD", "HEADER", "LOADER", "MAGIC", "MAIN", "MAIN_LOADS"]

MAGIC = b"UNSPOOL1"
HEADER = 16
"""Bytes in front of the weights in a file of weights."""

HEAD = """\
/* {title}
 *
 * Written by Unspool {version}. Compile, and give it a text in each line:
 *
 *     cc -std=c99 -O2 {name}.c -o {name} -lm
 *     echo "a text" | ./{name}
 *
 * It prints {help}. `./{name} -h` lists the options.
 * To call it from a program, define UNSPOOL_NO_MAIN. `struct model` is the memory of one caller: it may be static or on
 * a heap, and threads that each have their own share the weights.{opening}
 * `unspool_run` reads a text of at most UNSPOOL_BYTES bytes and UNSPOOL_UNITS units, which `-D` may change, and
 * returns the number of its units; 0 if there are none, TOO_LONG or TOO_MANY. Then the answer stands in
 * {comment}.
 */
"""

LOADER = """\
/* take the content of {file}, which must stand at a multiple of 16; returns 0 if it is not the right one */
int unspool_open(struct model *m, const unsigned char *file, size_t size);
int unspool_open(struct model *m, const unsigned char *file, size_t size)
{{
    const uint16_t one = 1;
    uint32_t sum = 0xFFFFFFFFu;
    size_t i;
    int bit;
    if (size != WEIGHT_FILE_SIZE || memcmp(file, "{magic}", 8) != 0 || *(const unsigned char *)&one != 1)
        return 0;
    for (i = {header}; i < size; i++) {{
        sum ^= file[i];
        for (bit = 0; bit < 8; bit++)
            sum = sum >> 1 ^ (sum & 1 ? 0xEDB88320u : 0u);
    }}
    if (~sum != 0x{sum:08X}u)
        return 0;
    m->weights = file + {header};
    return 1;
}}
"""

MAIN_LOADS = """\
    {
        static union {
            double aligned[2];
            unsigned char bytes[WEIGHT_FILE_SIZE + 1];
        } weights;
        FILE *file = fopen(path, "rb");
        size_t size = file ? fread(weights.bytes, 1, sizeof weights.bytes, file) : 0;
        if (!file || !unspool_open(&memory, weights.bytes, size)) {
            fprintf(stderr, "%s is missing or is not the file of weights that belongs to this program\\n", path);
            return 1;
        }
        fclose(file);
    }
"""

MAIN = """\
int main(int argc, char **argv)
{
    static struct model memory;
    static char line[UNSPOOL_BYTES + 1];
    int end = '\\n', all = 0, words = 0, failed = 0, k;
    long number = 0;
VARIABLESPATH    for (k = 1; k < argc; k++) {
        if (strcmp(argv[k], "-0") == 0) {
            end = 0;
        } else if (strcmp(argv[k], "-a") == 0) {
            all = 1;
        } else if (strcmp(argv[k], "-w") == 0) {
            words = 1;
OPTIONS        } else {
            fprintf(stderr, "reads a text from each line, and prints HELP\\n"
                "  -a    print everything, as numbers\\n"
                "  -w    units are parted by tabs\\n"
                "  -0    texts and answers end in a zero byte instead of a line end\\n"
MORE_HELP            );
            return strcmp(argv[k], "-h") != 0;
        }
    }
LOADS    for (;;) {
        size_t length = 0;
        int c, count;
        while ((c = getchar()) != EOF && c != end)
            if (length <= UNSPOOL_BYTES)
                line[length++] = (char)c;
        if (c == EOF && length == 0)
            break;
        if (end == '\\n' && length > 0 && line[length - 1] == '\\r')
            length--;
        number++;
        count = RUN;
        if (FAILS) {
            fprintf(stderr, "text %ld %s\\n", number, count == 0 ? "has no units" : count == TOO_LONG ?
                "has more bytes than UNSPOOL_BYTES" : "has more units than UNSPOOL_UNITS");
            failed = 1;
        } else {
            PRINT;
        }
        putchar(end);
        fflush(stdout);
    }
    return failed;
}
"""
