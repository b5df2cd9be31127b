"""Speed and size of pages: a writer of 256 units, and the assistant of `unspool demo`, under node.

    python benchmarks/page_export.py writer            # characters a second, by WebAssembly and by plain JavaScript
    python benchmarks/page_export.py assistant FOLDER  # a folder that `Assistant` wrote for the questions of the demo

The writer has random weights, since its speed does not depend on them. Speeds are medians of seven texts of 1,000
characters, per second of processor time. Sizes are bytes; compressed ones by gzip, level 9.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import torch

import unspool
from unspool.cells import LSTMCell
from unspool.samples import everyday
from unspool.ship.building import ProgramBuilder
from unspool.ship.page import export
from unspool.ship.sheet import Advance, Constant, LookUp, Port, Product, Sheet, Softmax, Writer
from unspool.ship.sheet_text import TextFront, Units, Writing
from unspool.ship.step_graph import step_graph
from unspool.ship.targets import Options

HIDDEN, SPECIAL = 256, ("<pad>", "<unk>", "<eos>")
CHARACTERS = tuple(sorted({*map(chr, range(32, 96)), "\n"}))

OPEN = """
import fs from "fs";
const html = fs.readFileSync(process.argv[2], "utf8");
const weights = html.match(/<script type="text\\/plain" id="weights">([^<]*)/)[1];
const script = html.match(/<script type="module">([^]*?)\\/\\* view \\*\\//)[1];
globalThis.document = { getElementById: () => ({ textContent: weights }) };
const spent = (since) => { const used = process.cpuUsage(since); return (used.user + used.system) / 1e6; };
"""
WRITE = """
const speeds = {};
for (const language of ["WebAssembly", "JavaScript"]) {
  const model = await new Function(script + "\\nreturn load;")()(language);
  for (const temperature of [0, 0.7]) {
    const all = [];
    for (let run = 0; run < 8; run++) {
      const begin = process.cpuUsage();
      for (const unit of model.write("TO BE", { temperature, longest: 1000 }));
      if (run) all.push(1000 / spent(begin));
    }
    speeds[`${model.language}, ${temperature ? "sampling" : "greedy"}`] = all.sort((a, b) => a - b)[3];
  }
}
console.log(JSON.stringify(speeds));
"""
ASK = """
const begin = process.cpuUsage(), start = performance.now();
const model = await new Function(script + "\\nreturn load;")()("");
model.answer("How high do I set the seat of my bicycle?");
const first = performance.now() - start, processor = 1000 * spent(begin);
const nearest = JSON.parse(fs.readFileSync(0)).map((text) => model.nearest(text));
console.log(JSON.stringify({ first, processor, nearest }));
"""


def in_node(body: str, page: Path, texts: list[str] | None = None) -> dict:
    """Run a script on a page."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "script.mjs"
        script.write_text(OPEN + body, encoding="utf-8")
        done = subprocess.run(
            ["node", str(script), str(page)], input=json.dumps(texts), capture_output=True, text=True, check=True
        )
    return json.loads(done.stdout)


def sheet_of_writer() -> Sheet:
    """A character writer with random weights: an LSTM of 256 units, as `unspool train write` builds."""
    torch.manual_seed(0)
    random, names = np.random.default_rng(0), (*SPECIAL, *CHARACTERS)
    table, weight = (random.standard_normal((len(names), HIDDEN)).astype(np.float32) for _ in range(2))
    step_of_cell, states = step_graph(LSTMCell(HIDDEN, HIDDEN)), ("h", "c")
    start = ProgramBuilder()
    for name, row in zip(states, step_of_cell.start, strict=True):
        start.add(Constant, name, row=row)
    step = ProgramBuilder(Port("id", "id"), *(Port(name, "row", HIDDEN) for name in states))
    vectors = step.add(LookUp, "vectors", ids="id", table=table)
    after = tuple(f"{name}_after" for name in states)
    output = step.add(Advance, "output", input=vectors, step=step_of_cell, state=states, after=after)
    product = step.add(Product, "product", input=output, weight=weight, bias=None)
    scores = step.add(Softmax, "scores", input=product, log=True)
    writer = Writer(
        start.finish(*(Port(name, "row", HIDDEN) for name in states)),
        step.finish(Port(scores, "row", len(names)), *(Port(name, "row", HIDDEN) for name in after)),
        states,
        first=2,
        end=-1,
        longest=0,
        never=(0, 1, 2),
    )
    units = Units("character", names, lowercase=False, digits_to_zero=False)
    return Sheet("write", TextFront(units), None, Writing(units), writer)


def measure_writer(folder: Path) -> None:
    """Print speeds, and the size of the page without its weights."""
    page = export(sheet_of_writer(), folder / "writer.html", Options(title="A writer of 256 units")).path
    for name, speed in in_node(WRITE, page).items():
        print(f"{name:24} {speed:8,.0f} characters a second")
    html = page.read_text(encoding="utf-8")
    script = re.search(r'<script type="module">(.*?)</script>', html, re.DOTALL)
    assert script is not None
    sizes = {
        "run time and view, JavaScript and WebAssembly": script[1],
        "of it the run time": script[1].split("/* view */")[0],
    }
    for name, text in sizes.items():
        print(f"{name}: {len(text):,} bytes, {len(gzip.compress(text.encode(), 9)):,} compressed")


def measure_assistant(model: str, folder: Path) -> None:
    """Print sizes, right answers to unseen wordings, and the time to the first answer."""
    assistant = unspool.load(model)
    sheet, unseen = assistant.sheet(), everyday.unseen()
    known = [each for each in unseen if each.same_as]
    pairs = {text: pair.wordings[0] for pair in assistant.questions for text in pair.wordings}
    for small in (None, "int8", "int4"):
        page = export(sheet, folder / f"assistant-{small}.html", Options(small=small, title="Everyday questions"))
        answer = in_node(ASK, page.path, [each.question for each in unseen])
        found = dict(zip([each.question for each in unseen], answer["nearest"], strict=True))
        hits = [each for each in known if found[each.question]["questions"][0] == pairs[each.same_as]]
        right = sum(found[each.question]["known"] for each in hits)
        declined = sum(not found[each.question]["known"] for each in unseen if not each.same_as)
        print(
            f"{small or 'float32':8} {page.path.stat().st_size:9,} bytes\n"
            f"  nearest question right for {len(hits)} of {len(known)} wordings, {right} of them above the threshold\n"
            f"  declined {declined} of {len(unseen) - len(known)} other questions\n"
            f"  first answer after {answer['first']:.0f} ms, {answer['processor']:.0f} ms of processor time"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["writer", "assistant"])
    parser.add_argument("model", nargs="?", help="Folder of the assistant.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.what == "writer":
            measure_writer(Path(folder))
        else:
            measure_assistant(arguments.model, Path(folder))


if __name__ == "__main__":
    main()
