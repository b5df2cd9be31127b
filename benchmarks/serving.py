"""Throughput of generation through the server against the engine's `Stepper`, and the latency of predictions.

The server runs in a process of its own: for throughput on one core, where the system can say so, with clients on the
others; for latency on all. Each repeat measures the bare loop and the server in turn, so that both meet the same
neighbours. For latency a second server runs on asyncio's event loop, in place of uvloop's. Processor time of the server
stands beside the wall clock, for machines that are not quiet.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from measure import conditions, told

from unspool import Classifier, LanguageModel
from unspool.decoding import Sampling
from unspool.decoding.continuations import random_numbers
from unspool.decoding.sampling import chances, draw
from unspool.engine import Stepper
from unspool.tasks import load

PORT = 8391
_WITHOUT_UVLOOP = "import sys; sys.modules['uvloop'] = None; from unspool.cli.main import run; run()"
WORDS = ("the", "keys", "to", "cabinet", "old", "boat", "is", "red", "are", "near", "small", "house", "of", "a", "cold")


def main() -> None:
    options = arguments()
    torch.set_num_threads(1)
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [0]
    print(f"{told(conditions())}\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        train(Path(folder), options.hidden)
        os.environ["OMP_NUM_THREADS"] = "1"
        folders = [f"{folder}/classifier", f"{folder}/writer"]
        command = [sys.executable, "-m", "unspool", "serve", *folders, "--port", str(PORT), "--max-tokens", "1000000"]
        slower = [sys.executable, "-c", _WITHOUT_UVLOOP, "serve", folders[0], "--port", str(PORT + 1)]
        servers = [subprocess.Popen(one, stderr=subprocess.DEVNULL) for one in (command, slower)]
        server = servers[0]
        try:
            for port, one in enumerate(servers, PORT):
                asyncio.run(until_ready(one, port))
            if not options.latency:
                pin(server.pid, cores[:1])
                pin(0, cores[1:] or cores)
                throughput(Path(folder), server.pid, cores, options)
                pin(server.pid, cores)
                pin(0, cores)
            latency(Path(folder), servers, options)
        finally:
            for one in servers:
                one.terminate()
                one.wait(30)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=64, help="texts that are written together")
    parser.add_argument("--hidden", type=int, default=512, help="units of the language model's LSTM")
    parser.add_argument("--length", type=int, default=400, help="units of each text")
    parser.add_argument("--clients", type=int, default=8, help="clients that ask for predictions at once")
    parser.add_argument("--requests", type=int, default=400, help="predictions per repeat")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--latency", action="store_true", help="measure latency alone")
    return parser.parse_args()


def train(folder: Path, hidden: int) -> None:
    """Train a character language model and a classifier, just enough to have their sizes."""
    draw_words = random.Random(1)
    texts = [" ".join(draw_words.choices(WORDS, k=draw_words.randint(3, 20))) for _ in range(200)]
    common = {"epochs": 1, "seed": 1, "device": "cpu", "plan": False}
    alphabet = "".join(map(chr, range(32, 127)))
    writer = LanguageModel(units="character", hidden=hidden, embedding=hidden // 2, batch_size=8, steps=32, **common)
    writer.fit([*texts[:60], *[alphabet] * 5], out=folder / "writer", baselines=False)
    labels = ["plural" if "are" in text else "singular" for text in texts]
    Classifier(**common).fit(texts, labels, out=folder / "classifier", baselines=False)


def pin(process: int, cores: list[int]) -> None:
    """Let all threads of a process run on some cores alone, where the system can."""
    if not hasattr(os, "sched_setaffinity"):
        return
    tasks = Path(f"/proc/{process or os.getpid()}/task")
    for thread in [int(one.name) for one in tasks.iterdir()] if tasks.exists() else [process]:
        os.sched_setaffinity(thread, cores)


# ---- throughput --------------------------------------------------------------------------------------------------


def throughput(folder: Path, server: int, cores: list[int], options: argparse.Namespace) -> None:
    model = load(folder / "writer")
    cell, generation = bare_loops(model, options.streams)
    rates: dict[str, list[float]] = {name: [] for name in ("cell", "generation", "server", "server cpu")}
    for _ in range(options.repeats):
        pin(0, cores[:1])
        rates["cell"].append(options.streams / per_call(cell))
        rates["generation"].append(options.streams / per_call(generation))
        pin(0, cores[1:] or cores)
        began, before = time.perf_counter(), processor_seconds(server)
        units = asyncio.run(stream_all(options.streams, options.length))
        rates["server"].append(units / (time.perf_counter() - began))
        rates["server cpu"].append(units / max(processor_seconds(server) - before, 1e-9))
    cell_rate, loop_rate = (statistics.median(rates[name]) for name in ("cell", "generation"))
    print(f"Generation, {options.streams} streams of an LSTM of {options.hidden}, units per second (median):\n")
    print("| | units/s | of the cell alone | of bare generation |\n|---|--:|--:|--:|")
    titles = {
        "cell": "`Stepper`, the cell alone (processor time)",
        "generation": "`Stepper`, output layer and sampling (processor time)",
        "server cpu": "server, 64 streams (processor time of the whole process)",
        "server": "server, 64 streams (wall clock)",
    }
    for name, title in titles.items():
        rate = statistics.median(rates[name])
        print(f"| {title} | {rate:,.0f} | {rate / cell_rate:.2f} | {rate / loop_rate:.2f} |")
    print(flush=True)


def bare_loops(model: LanguageModel, rows: int) -> tuple[Callable[[], None], Callable[[], None]]:
    """Return one step of the cell alone, and one step that writes a unit of each row: both with a bare `Stepper`."""
    network = model.model
    ((_, cell, _),) = network.decoder.named_cells()
    stepper, table, softmax = Stepper(cell), network.embedding.table.weight, network.softmax
    units, inputs = torch.randint(3, len(table), (rows,)), torch.randn(rows, cell.input_size)
    states, seeds, count = [cell.initial_state(rows)] * 2, list(range(rows)), 0
    sampling = Sampling()._asdict()

    @torch.no_grad()
    def step() -> None:
        _, states[0] = stepper(inputs, states[0])

    @torch.no_grad()
    def write() -> None:
        nonlocal count, units
        outputs, states[1] = stepper(table[units], states[1])
        numbers = torch.from_numpy(random_numbers(seeds, [count] * rows))
        units = draw(chances(softmax.log_probabilities(outputs), **sampling), numbers)
        count += 1

    return step, write


def per_call(run: Callable[[], None], calls: int = 300) -> float:
    """Return the processor time of a call, in seconds."""
    for _ in range(20):
        run()
    began = time.thread_time()
    for _ in range(calls):
        run()
    return (time.thread_time() - began) / calls


def processor_seconds(process: int) -> float:
    """Return the processor time of a process so far, of all its threads."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def stream_all(streams: int, length: int) -> int:
    """Write texts together; return the number of units."""
    bodies = [{"model": "writer", "length": length, "seed": seed, "stream": True} for seed in range(streams)]
    answers = await asyncio.gather(*(ask_once("/api/generate", body) for body in bodies))
    for content in answers:
        assert content.rstrip().endswith(b"[DONE]\n\n\r\n0"), content[-200:]
    return streams * length


# ---- latency -----------------------------------------------------------------------------------------------------


class Delays(NamedTuple):
    """Times of requests, in milliseconds."""

    middle: float
    late: float
    """99 of 100 are faster."""
    processor: float
    """Processor time of the server per request."""


def latency(folder: Path, servers: list[subprocess.Popen[bytes]], options: argparse.Namespace) -> None:
    model = load(folder / "classifier")
    text = "the keys to the old cabinet are red"
    own: list[float] = []
    delays: dict[str, list[Delays]] = {}
    for _ in range(options.repeats):
        own.append(1000 * statistics.median(timed(lambda: model.predict(text)) for _ in range(200)))
        for clients, each in ((1, options.requests // 4), (options.clients, options.requests // options.clients)):
            for loop, port, server in zip(("uvloop", "asyncio"), (PORT, PORT + 1), servers, strict=True):
                title = f"{clients} {'client' if clients == 1 else 'clients at once'}, {loop}"
                delays.setdefault(title, []).append(asked_by(server.pid, port, clients, each, text))
    model_time = statistics.median(own)
    print("`POST /api/predict`, a classifier, one text, milliseconds (medians of the repeats):\n")
    print("| | median | above the model | 99th percentile | processor time |\n|---|--:|--:|--:|--:|")
    print(f"| `predict` in Python | {model_time:.2f} | | | |")
    for title, columns in delays.items():
        middle, late, processor = (statistics.median(column) for column in zip(*columns, strict=True))
        print(f"| {title} | {middle:.2f} | {middle - model_time:.2f} | {late:.2f} | {processor:.2f} |")
    print(f"\nload afterwards {' '.join(f'{one:.1f}' for one in os.getloadavg())}")


def timed(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def asked_by(server: int, port: int, clients: int, requests: int, text: str) -> Delays:
    """Let clients ask a server at once, and count its processor time."""
    before = processor_seconds(server)
    middle, late = asyncio.run(ask_many(port, clients, requests, text))
    return Delays(middle, late, 1000 * (processor_seconds(server) - before) / (clients * requests))


async def ask_many(port: int, clients: int, requests: int, text: str) -> tuple[float, float]:
    """Let clients ask at once, each on one connection; return the median and the 99th percentile of the delays."""
    content = request_bytes("/api/predict", {"model": "classifier", "input": text}, port=port)
    delays: list[float] = []

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(requests):
            began = time.perf_counter()
            writer.write(content)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            delays.append(1000 * (time.perf_counter() - began))
            assert b'"prediction"' in body, body
        writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    delays.sort()
    return statistics.median(delays), delays[int(0.99 * len(delays))]


# ---- HTTP --------------------------------------------------------------------------------------------------------


def request_bytes(path: str, body: object, *, port: int = PORT, close: bool = False) -> bytes:
    content = json.dumps(body).encode()
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
        *(["Connection: close"] if close else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + content


async def ask_once(path: str, body: object) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", PORT)
    writer.write(request_bytes(path, body, close=True))
    content = await reader.read()
    writer.close()
    return content


async def until_ready(server: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(600):
        if server.poll() is not None:
            raise SystemExit("the server has ended; is its port free?")
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
            continue
        writer.write(f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
        ready = b" 200 " in await reader.readline()
        writer.close()
        if ready:
            return
        await asyncio.sleep(0.1)
    raise SystemExit("the server did not load its models in a minute")


if __name__ == "__main__":
    main()
