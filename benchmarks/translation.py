"""Compare our encoder–decoders with Joey NMT's and with plain torch programs of the same networks.

    python benchmarks/translation.py                                # Multi30k English to German, one core
    python benchmarks/translation.py --networks transformer --repeats 9 --sentences 256 --profile
    python benchmarks/translation.py --networks multi30k-transformer    # a folder with a trained translator
    python benchmarks/translation.py --train a.en a.de --test b.en b.de --keep weights

Two networks, a recurrent one with bilinear attention and a small Transformer: tokens per second in training, sentences
per second in decoding, greedy and with a beam of 5. All have the same weights, read the same batches and go through the
same training loop, in one process. Losses and outputs are compared before anything is timed. Data are looked for in the
folder that UNSPOOL_DATA names, or in ../shared/data beside the checkout.
"""

from __future__ import annotations

import argparse
import copy
import cProfile
import io
import itertools
import os
import pstats
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import (
    Comparison,
    Disagreement,
    Timing,
    conditions,
    distance,
    interleaved,
    note,
    table,
    told,
    use_threads,
    write_json,
)
from rivals.bare import bare_loop
from rivals.joey import Joey, JoeyBatch, missing
from rivals.plain_translation import beam, greedy, plain_translator
from safetensors.torch import load_file, save_file
from torch import nn

from unspool import Translator
from unspool.data import END, PADDING, UNKNOWN, Bucketed, Paired, Tokens
from unspool.decoding import DecodingSettings, decode
from unspool.models import EncoderDecoder, Loss
from unspool.tasks.translate.scores import corpus_bleu

NETWORKS: dict[str, dict[str, Any]] = {
    "recurrent": {"network": "bilinear", "hidden": 256, "embedding": 256, "dropout": 0.3},
    "transformer": {
        "network": "transformer",
        "hidden": 128,
        "embedding": 128,
        "layers": 4,
        "heads": 4,
        "feedforward": 256,
        "dropout": 0.3,
    },
}
PREPARED = {"recurrent": 1000, "transformer": 1500}
"""Updates of 32 pairs before all is measured, so that outputs come to their end as those of a trained network do."""
TOLERANCE = 1e-4
"""Largest distance between the losses of the same weights, as a share."""
SAME = 0.97
"""Share of sentences for which the plain program must find the very same words; near ties fall either way."""
BEAM = 5
MADE: dict[str, Callable[[EncoderDecoder], Any]] = {"ours": copy.deepcopy, "torch": plain_translator, "Joey": Joey}
"""How everybody's network is made, with a copy of our weights."""
FILES = ("train.lc.norm.tok", "test_2016_flickr.lc.norm.tok")


class LowPrecision(nn.Module):
    """A network whose losses are computed in bfloat16, to be done sooner."""

    def __init__(self, model: EncoderDecoder) -> None:
        super().__init__()
        self.model = model

    def loss(self, batch: Paired, carry: None = None) -> Loss:
        with torch.autocast("cpu", torch.bfloat16):
            return self.model.loss(batch)


@dataclass
class Case:
    """One network with its weights, and what it reads."""

    name: str
    task: Any
    model: EncoderDecoder
    training: list[Paired]
    sentences: list[Tokens]
    references: list[str]

    @property
    def limits(self) -> list[int]:
        """Most units written for each batch, the end counted."""
        return [int(1.5 * int(batch.lengths.max())) + 10 for batch in self.sentences]

    @property
    def told(self) -> str:
        """Its network in words."""
        network = self.task.settings.network
        return (
            f"{self.name}: {self.task.describe()['summary']}, embedding {network.embedding}, dropout {network.dropout},"
            f" {len(self.task.target_vocabulary):,} units in one vocabulary"
        )


@dataclass
class Row:
    """What was found for one job of one network."""

    case: str
    job: str
    amount: int
    wall: dict[str, Timing]
    process: dict[str, Timing]
    agreement: dict[str, str]

    def against(self, rival: str) -> tuple[Comparison, Comparison]:
        """How much faster ours is, by the clock on the wall and by the processor's."""
        return Comparison(self.wall["ours"], self.wall[rival]), Comparison(self.process["ours"], self.process[rival])


def prepare(name: str, train: Sequence[Path], test: Sequence[Path], options: argparse.Namespace) -> Case:
    """Read the data, take or train a network, and make the batches, longest source first.

    Args:
        name: One of `NETWORKS`, or a folder with a trained translator of one of these kinds.
        train: Two parallel files.
        test: Two parallel files.
        options: From the command line.
    """
    torch.manual_seed(0)
    kind: Any = Translator
    if name in NETWORKS:
        values = {"tokenization": "none", "references": "single", **NETWORKS[name], **dict(options.set)}
        task = kind(format="parallel", **values)
        examples = task._read([str(path) for path in train])
        task._learn(examples)
        task.model = task._make_network()
        _train(
            task, Bucketed(task.fitted.encode(examples), batch_tokens=2048, batch_size=32, seed=0), name, options.keep
        )
    else:
        task = kind.load(name)
        examples = task._read([str(path) for path in train])
    model = task.model
    with torch.no_grad():  # Joey begins with a unit of its own: the unknown one, with the end's vector, never written
        model.source.table.weight[UNKNOWN] = model.source.table.weight[END]
        model.softmax.bias[UNKNOWN] = -20
    pairs = task._read([str(path) for path in test])
    asked = task.fitted.encode(pairs.take(np.arange(min(options.sentences, len(pairs.sources)))))
    order = np.argsort(-asked.source.lengths, kind="stable")
    cuts = range(0, len(order), options.batch)
    sentences = [Tokens(*asked.source.pad(order[cut : cut + options.batch])) for cut in cuts]
    references = [task.target_vocabulary.decode(asked.target[place].tolist()) for place in order.tolist()]
    source = Bucketed(task.fitted.encode(examples), batch_tokens=4096, batch_size=128, seed=0)
    training = [_sorted(batch) for batch in itertools.islice(source.epoch(0), options.updates)]
    return Case(Path(name).name, task, model, training, sentences, references)


def _train(task: Any, source: Bucketed[Paired], name: str, keep: Path | None) -> None:
    """Give the network weights that have learnt something; from a file if they were kept."""
    file = keep / f"{name}.safetensors" if keep else None
    weights = dict(task.model.named_parameters())
    if file is not None and file.is_file():
        kept = load_file(file)
        if {key: value.shape for key, value in kept.items()} != {key: value.shape for key, value in weights.items()}:
            raise SystemExit(f"{file} holds the weights of another network: remove it, or keep these elsewhere")
        with torch.no_grad():
            for key, value in kept.items():
                weights[key].copy_(value)
        return
    note(f"{name}: {PREPARED[name]} updates, so that decoding comes to its ends")
    batches = list(itertools.islice(itertools.chain(source.epoch(0), source.epoch(1)), PREPARED[name]))
    bare_loop(LowPrecision(task.model), batches, task.settings.training)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file({key: weight.detach() for key, weight in weights.items()}, file)


def _sorted(batch: Paired) -> Paired:
    order = batch.source.lengths.argsort(descending=True, stable=True)
    return Paired(*(Tokens(side.ids[:, order], side.lengths[order]) for side in (batch.source, batch.target)))


def ours(case: Case, model: EncoderDecoder, width: int) -> list[list[int]]:
    """Decode all sentences as the translator does."""
    settings = DecodingSettings(search="beam" if width > 1 else "greedy", beam=width)
    forbidden = torch.zeros(len(model.softmax.bias), dtype=torch.bool)
    forbidden[[PADDING, UNKNOWN]] = True
    found = []
    for batch, limit in zip(case.sentences, case.limits, strict=True):
        with torch.no_grad():
            state = model.start(batch)
        limits = torch.full_like(batch.lengths, limit)
        written = decode(
            model, state, settings=settings, max_lengths=limits, forbidden=forbidden, source_lengths=batch.lengths
        )
        found += [best[0].ids for best in written]
    return found


def plain(case: Case, model: Any, width: int) -> list[list[int]]:
    """Decode all sentences with the plain program."""
    search = partial(beam, width=width) if width > 1 else greedy
    return [
        ids for batch, limit in zip(case.sentences, case.limits, strict=True) for ids in search(model, batch, limit)
    ]


def joeys(batches: list[JoeyBatch], limits: list[int], model: Joey, width: int) -> list[list[int]]:
    """Decode all sentences with Joey's search."""
    return [ids for batch, limit in zip(batches, limits, strict=True) for ids in model.translate(batch, limit, width)]


def check_losses(case: Case, rivals: Sequence[str]) -> dict[str, str]:
    """Refuse to time networks that think differently of the same targets; how far each is from ours."""
    model, said = case.model.eval(), {}
    for name in rivals:
        rival, worst = MADE[name](case.model).eval(), 0.0
        for batch in case.training[:2]:
            with torch.no_grad():
                expected, actual = model.loss(batch), rival.loss(*_in_form_of(name, [batch]))
            worst = max(worst, distance(actual.total, expected.total))
            if actual.count != expected.count or not worst <= TOLERANCE:
                raise Disagreement(f"{case.name}: {name} has loss {actual}, ours {expected}")
        said[name] = f"loss within {worst:.0e}"
    return said


def check_outputs(case: Case, runs: dict[str, Callable[[], list[list[int]]]], width: int) -> dict[str, str]:
    """Refuse to time a plain search that finds other words; the share of equal sentences and the BLEU of each."""
    found = {name: run() for name, run in runs.items()}
    said = {}
    for name, outputs in found.items():
        texts = [case.task.target_vocabulary.decode(ids) for ids in outputs]
        bleu = corpus_bleu(texts, [[reference] for reference in case.references], "none")
        same = sum(a == b for a, b in zip(outputs, found["ours"], strict=True)) / len(outputs)
        if name == "torch" and same < SAME:
            raise Disagreement(f"{case.name}, width {width}: only {100 * same:.1f}% of torch's outputs are ours")
        units = sum(map(len, outputs)) / len(outputs)
        said[name] = f"{100 * same:.1f}% same, BLEU {bleu:.1f}, {units:.1f} units each"
    return said


def measure(case: Case, options: argparse.Namespace, rivals: Sequence[str]) -> list[Row]:
    """Check, then time training and both searches, everybody in turn."""
    rows = []
    if "training" in options.jobs:
        agreement = check_losses(case, rivals)
        rows.append(_timed(case, "training", _trainings(case, rivals), options.repeats, agreement))
    for job, width in (("greedy", 1), ("beam", BEAM)):
        if job in options.jobs:
            runs = _searches(case, rivals, width)
            rows.append(_timed(case, job, runs, options.repeats, check_outputs(case, runs, width)))
            if options.profile:
                note(profiled(runs["ours"]))
    return rows


def _in_form_of(name: str, batches: Sequence[Paired]) -> list[Any]:
    return [JoeyBatch(batch.source, batch) for batch in batches] if name == "Joey" else list(batches)


def _trainings(case: Case, rivals: Sequence[str]) -> dict[str, Callable[[], object]]:
    """The same loop for all, each on its own copy of the network, which goes on learning."""
    settings = case.task.settings.training
    runs: dict[str, Callable[[], object]] = {}
    for name in ("ours", *rivals):
        model, batches = MADE[name](case.model), _in_form_of(name, case.training)
        bare_loop(model, batches[:1], settings)
        runs[name] = partial(bare_loop, model, batches, settings)
    return runs


def _searches(case: Case, rivals: Sequence[str], width: int) -> dict[str, Callable[[], list[list[int]]]]:
    networks = {name: MADE[name](case.model).eval() for name in ("ours", *rivals)}
    runs: dict[str, Callable[[], list[list[int]]]] = {
        "ours": partial(ours, case, networks["ours"], width),
        "torch": partial(plain, case, networks["torch"], width),
    }
    if "Joey" in rivals:
        batches = [JoeyBatch(batch) for batch in case.sentences]
        runs["Joey"] = partial(joeys, batches, case.limits, networks["Joey"], width)
    return runs


def _timed(case: Case, job: str, runs: Any, repeats: int, agreement: dict[str, str]) -> Row:
    """Time by both clocks: on a busy machine the processor's tells more."""
    used: dict[str, list[float]] = {name: [] for name in runs}

    def clocked(name: str) -> None:
        began = time.process_time()
        runs[name]()
        used[name].append(time.process_time() - began)

    wall = interleaved({name: partial(clocked, name) for name in runs}, repeats)
    process = {name: Timing(tuple(found)) for name, found in used.items()}
    amount = sum(batch.size for batch in case.training) if job == "training" else len(case.references)
    row = Row(case.name, job, amount, wall, process, agreement)
    for rival in (name for name in runs if name != "ours"):
        clocks = " and ".join(map(str, row.against(rival)))
        note(f"{case.name}, {job}: ours / {rival} {clocks}; {agreement[rival]}")
    return row


def report(rows: Sequence[Row], rivals: Sequence[str]) -> str:
    """One line for each job: what everybody does per second, and how many times as fast ours is."""
    columns = ["network", "job", "per second", "ours"]
    for rival in rivals:
        columns += [rival, f"ours / {rival}", "by processor time", "agreement"]
    lines = []
    for row in rows:
        line = [row.case, row.job, "tokens" if row.job == "training" else "sentences", _speed(row, "ours")]
        for rival in rivals:
            wall, process = row.against(rival)
            line += [_speed(row, rival), str(wall), str(process), row.agreement[rival]]
        lines.append(line)
    return table(columns, lines)


def _speed(row: Row, name: str) -> str:
    timing = row.wall[name]
    speed = row.amount / timing.median
    spread = "" if timing.spread is None else f" ±{100 * timing.spread:.0f}%"
    return f"{speed:,.0f}{spread}" if row.job == "training" else f"{speed:.1f}{spread}"


def profiled(run: Callable[[], object], lines: int = 25) -> str:
    """Where the time goes, by time in each function and not below."""
    profile = cProfile.Profile()
    profile.runcall(run)
    text = io.StringIO()
    stats = pstats.Stats(profile, stream=text)
    stats.sort_stats("tottime").print_stats(lines)
    stats.sort_stats("cumulative").print_stats(r"unspool", lines)
    return text.getvalue()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    options = _parser().parse_args(arguments)
    train, test = _files(options)
    absent = [str(path) for path in (*train, *test) if not path.is_file()]
    if absent:
        note(f"left out: there is no {', '.join(absent)}; say --train and --test, or set UNSPOOL_DATA")
        return 0
    use_threads(options.threads)
    why_not = missing() if options.joey else "it was not asked for"
    if why_not:
        note(f"Joey NMT is left out: {why_not}")
    rivals = ["torch"] if why_not else ["torch", "Joey"]
    facts = conditions("joeynmt")
    rows: list[Row] = []
    cases: list[Case] = []
    for name in options.networks:
        cases.append(prepare(name, train, test, options))
        rows += measure(cases[-1], options, rivals)
    facts["data"] = (
        f"{train[0].parent.parent.name}: {options.updates} batches of training, 4,096 tokens or 128 pairs each; "
        f"{options.sentences} test sentences in batches of {options.batch}"
    )
    facts["networks"] = "; ".join(case.told for case in cases)
    facts["how"] = (
        f"medians of {options.repeats} interleaved repeats in one process, ± half the range between quartiles; float32;"
        " tokens are real ones of both sides with the target's end; all train in the same loop with fused AdamW on"
        " batches made beforehand. torch: nn.LSTM and nn.Transformer (which keeps no cache) with a batched search that"
        " lets finished sentences go"
    )
    print(f"# Translation on cpu\n\n{told(facts)}\n\n{report(rows, rivals)}")
    if options.json:
        write_json(options.json, {"conditions": facts, "rows": [_record(row) for row in rows]})
    return 0


def _files(options: argparse.Namespace) -> tuple[list[Path], list[Path]]:
    data = Path(os.environ.get("UNSPOOL_DATA") or Path(__file__).parents[2] / "shared" / "data")
    folder = data / "multi30k_en_de" / "tok"
    train, test = ([folder / f"{name}.{language}" for language in ("en", "de")] for name in FILES)
    return options.train or train, options.test or test


def _record(row: Row) -> dict[str, Any]:
    clocks = {"wall_seconds": row.wall, "process_seconds": row.process}
    times = {clock: {name: list(timing.seconds) for name, timing in found.items()} for clock, found in clocks.items()}
    return {"network": row.case, "job": row.job, "amount": row.amount, "agreement": row.agreement, **times}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--networks",
        type=lambda text: text.split(","),
        default=list(NETWORKS),
        help=f"{', '.join(NETWORKS)}; or folders of trained translators",
    )
    parser.add_argument("--jobs", type=lambda text: text.split(","), default=["training", "greedy", "beam"])
    parser.add_argument("--train", type=Path, nargs=2, metavar=("SOURCE", "TARGET"), help="parallel files")
    parser.add_argument("--test", type=Path, nargs=2, metavar=("SOURCE", "TARGET"), help="parallel files")
    parser.add_argument("--updates", type=int, default=4, help="batches of one repeat of training (4)")
    parser.add_argument("--sentences", type=int, default=192, help="test sentences to decode (192)")
    parser.add_argument("--batch", type=int, default=64, help="sentences decoded at a time (64)")
    parser.add_argument("--repeats", type=int, default=5, help="interleaved repeats (5)")
    parser.add_argument("--threads", type=int, default=1, help="cores to use (1)")
    parser.add_argument("--set", type=_setting, action="append", default=[], help="a task setting, as dropout=0")
    parser.add_argument("--no-joey", dest="joey", action="store_false", help="leave Joey NMT out")
    parser.add_argument("--keep", type=Path, help="folder to keep the trained weights in, and to find them in again")
    parser.add_argument("--profile", action="store_true", help="say where the time of our decoding goes, on stderr")
    parser.add_argument("--json", type=Path, help="also write every time to this file")
    return parser


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text}: expected name=value")
    return name, value


if __name__ == "__main__":
    sys.exit(main())
