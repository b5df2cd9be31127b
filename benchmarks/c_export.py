"""A model as C: time of a step at `-O2`, and size of the program with its tokenizer.

    python benchmarks/c_export.py
    python benchmarks/c_export.py --size 256 --rounds 20

The step of an LSTM is compared with plain loops over the same panels of 32 columns, compiled with `-O3`. Programs run
in turn, and times are medians of their own processor time. The program with a tokenizer is a classifier of texts by
characters, with as many inputs as units.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch

from unspool import Classifier
from unspool.cells import LSTMCell
from unspool.ship.c import export
from unspool.ship.c.artefact import c_compiler
from unspool.ship.c.fours import FOUR_TYPES, needed_fours
from unspool.ship.c.maths import PREAMBLE, needed
from unspool.ship.c.step import write_step
from unspool.ship.c.unroll import write_unroll
from unspool.ship.c.weights import Weights
from unspool.ship.step_graph import step_graph
from unspool.ship.targets import Options
from unspool.training import Reporter

PLAIN = """\
static void product_float(const float *x, int depth, const float *w, int width, float *y)
{
    int i, j, k;
    for (j = 0; j < width; j += 32) {
        float sums[32];
        for (k = 0; k < 32; k++)
            sums[k] = 0.0f;
        for (i = 0; i < depth; i++, w += 32)
            for (k = 0; k < 32; k++)
                sums[k] += x[i] * w[k];
        for (k = 0; k < 32; k++)
            y[j + k] = sums[k];
    }
}
"""
MAIN = """\
#include <stdio.h>
#include <time.h>
int main(void)
{
    static float inputs[64 * SIZE], state[2 * SIZE], outputs[64 * SIZE];
    static struct lstm_run memory;
    int i, round;
    clock_t start;
    for (i = 0; i < 64 * SIZE; i++)
        inputs[i] = (float)(i % 17) / 17.0f - 0.5f;
    start = clock();
    for (round = 0; round < ROUNDS; round++)
        lstm_run(inputs, 64, 0, state, outputs, &memory);
    printf("%.9g %.9g\\n", (double)(clock() - start) / CLOCKS_PER_SEC * 1e6 / 64 / ROUNDS, (double)outputs[5]);
    return 0;
}
"""


def source(size: int, small: str | None, *, plain: bool = False) -> str:
    """The C program that runs an LSTM of so many inputs and units."""
    torch.manual_seed(0)
    weights = Weights(small=small)  # type: ignore[arg-type]
    graph = step_graph(LSTMCell(size, size).eval())
    step = write_step("lstm", graph.graph, graph.shapes, graph.matrices, graph.vectors, weights)
    rounds = max(1, 4_000_000 // (8 * size * size * 64) * 40)
    main = MAIN.replace("SIZE", str(size)).replace("ROUNDS", str(rounds))
    loop = write_unroll(step, size, graph.shapes, weights)
    maths = [FOUR_TYPES, *needed(step.operations), *needed_fours(step.fours)]
    parts = [*maths, PLAIN if plain else weights.functions(), weights.definitions(), step.text, loop]
    return "\n".join([PREAMBLE, *parts, main])


def build(folder: Path, name: str, text: str, *flags: str) -> Path:
    """Compile a program."""
    (folder / f"{name}.c").write_text(text)
    program = folder / name
    subprocess.run([*c_compiler(), "-std=c99", *flags, f"{program}.c", "-o", program, "-lm"], check=True)
    return program


def program_sizes(folder: Path, size: int) -> dict[str, int]:
    """Bytes of stripped programs that classify texts by characters, by kind of weights."""
    texts = [
        f"the {word} is {kind}" for word in ("film", "plot", "cast", "end") for kind in ("good", "bad", "fine")
    ] * 8
    values = {
        "units": "character",
        "embedding": size,
        "hidden": size,
        "ngrams": False,
        "epochs": 1,
        "plan": False,
        "bidirectional": False,
    }
    model = Classifier(**values).fit(texts, [text.split()[-1] for text in texts], baselines=False, reporter=Reporter())
    sizes = {}
    for small in (None, "int8", "int4"):
        artefact = export(model.sheet(), folder / "model.c", Options(small=small))
        sizes[small or "float32"] = artefact.compile(folder / "model", "-s").stat().st_size
    return sizes


def main(words: Sequence[str] | None = None) -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=64, help="inputs and units")
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args(words)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        programs = {
            "plain loops, -O3": build(folder, "plain", source(given.size, None, plain=True), "-O3", "-U__SSE2__"),
            "exported, -O2": build(folder, "exported", source(given.size, None), "-O2"),
            "exported, -O3 -march=native": build(folder, "native", source(given.size, None), "-O3", "-march=native"),
            "exported, int8, -O2": build(folder, "int8", source(given.size, "int8"), "-O2"),
            "exported, int4, -O2": build(folder, "int4", source(given.size, "int4"), "-O2"),
        }
        times: dict[str, list[float]] = {name: [] for name in programs}
        for _ in range(given.rounds):
            results = {}
            for name, program in programs.items():
                time, result = map(float, subprocess.run([program], capture_output=True, check=True).stdout.split())
                times[name].append(time)
                results[name] = result
            right = results["plain loops, -O3"]
            for name, bound in zip(programs, (0.0, 1e-6, 1e-6, 0.02, 0.1), strict=True):
                if abs(results[name] - right) > bound:
                    sys.exit(f"{name} computes {results[name]}, and the plain loop {right}")
        base = median(times["plain loops, -O3"])
        print(f"LSTM, {given.size} inputs and units, microseconds a step and share of the plain loop's")
        for name, row in times.items():
            print(f"{name:30} {median(row):8.2f} {median(row) / base:6.2f}")
        print("stripped program with tokenizer, bytes")
        for name, size in program_sizes(folder, given.size).items():
            print(f"{name:30} {size:8,}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
