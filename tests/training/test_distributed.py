import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from safetensors.torch import load_file
from tiny_training import (
    Ragged,
    TinyClassifier,
    TinyLanguageModel,
    Windows,
    assert_same_bits,
    classifier,
    language_model,
    train,
)

import unspool
from unspool.errors import SettingError
from unspool.models.loss import Loss
from unspool.training import World, join, leave
from unspool.training.distributed import LossModule, detached, flattened, rebuilt

JOBS = {
    "ragged": ("ragged", {"epochs": 3, "accumulate": 2, "learning_rate": 0.1, "weight_decay": 0.5, "average": "ema"}),
    "text": ("text", {"epochs": 3, "schedule": "anneal", "optimizer": "sgd", "learning_rate": 2.0}),
    "whole": ("noisy", {"epochs": 2, "average": "ema"}),
    "stopped": ("noisy", {"epochs": 2, "average": "ema"}),
}

WORKER = """
import json, signal, sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from test_distributed import JOBS, network
from tiny_training import train
from unspool.errors import Interrupted
from unspool.training import LineReporter, World, leave

rank = World.current().rank
for name, (kind, settings) in JOBS.items():
    folder = Path(sys.argv[1]) / name
    model, source = network(kind)
    if rank == 1:  # rank 0's weights count
        torch.nn.init.zeros_(model.embedding.weight)

    def before(epoch, index):
        if name == "stopped" and (epoch, index) == (1, 2) and rank == 1:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)  # the terminal's and the launcher's

    source.before = before
    try:
        train(model, source, folder, reporter=LineReporter(), **settings)
    except Interrupted as stopped:
        print(f"Interrupted {stopped}", file=sys.stderr)
        model, source = network(kind)
        train(model, source, folder, resume=True, **settings)
    save_file({n: p.detach() for n, p in model.named_parameters()}, folder / f"{rank}.safetensors")
leave()
"""


def network(kind: str) -> tuple[TinyClassifier | TinyLanguageModel, Windows]:
    if kind == "ragged":
        return classifier(), Ragged()
    return (language_model(dropout=0.0, noise=False) if kind == "text" else language_model()), Windows()


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """All jobs, run by two processes; their folder, and what they said."""
    folder = tmp_path_factory.mktemp("two")
    path = os.pathsep.join([str(Path(unspool.__path__[0]).parent), str(Path(__file__).parent)])
    (folder / "worker.py").write_text(WORKER)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
    done = subprocess.run(
        [*launcher, str(folder / "worker.py"), str(folder)],
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return folder, done.stderr


def losses(folder: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (folder / "training" / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("job", ["ragged", "text"])
def test_two_processes_do_what_one_does(tmp_path, two_processes, job):
    kind, settings = JOBS[job]
    model, source = network(kind)
    train(model, source, tmp_path, **settings)
    folder = two_processes[0] / job
    assert losses(folder) == pytest.approx(losses(tmp_path), rel=1e-5)
    first, second = (load_file(folder / f"{rank}.safetensors") for rank in (0, 1))
    assert_same_bits(first, second)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(first[name], parameter.detach(), rtol=1e-4, atol=1e-5)


def test_one_of_the_processes_talks(two_processes):
    said = two_processes[1]
    assert said.count("training: ") == len(JOBS)
    assert said.count(" on cpu, 2 processes") == len(JOBS)
    assert "arning" not in said


def test_two_processes_are_interrupted_together_and_resumed_to_the_same_bits(two_processes):
    folder, said = two_processes
    assert said.count("Interrupted stopped; all is saved up to update 10 (epoch 2 of 2); go on with") == 2
    whole, parts = (load_file(folder / name / "training" / "checkpoint.safetensors") for name in ("whole", "stopped"))
    assert_same_bits(parts, whole)
    rank_0, rank_1 = (whole[f"process/{rank}/random/torch"] for rank in (0, 1))
    assert not torch.equal(rank_0, rank_1), "each process has its own dropout"


def test_another_number_of_processes_is_another_run(two_processes):
    kind, settings = JOBS["whole"]
    with pytest.raises(SettingError, match=r"processes: 1 \(was 2\)"):
        train(*network(kind), two_processes[0] / "whole", resume=True, **settings)


def test_one_process_asks_nobody():
    world = join()
    assert (world.rank, world.size, world.first) == (0, 1, True)
    assert world.sum([1.5, 2.0]) == [1.5, 2.0]
    assert world.share({"a": 1}) == {"a": 1}
    assert world.gather(b"abc") == [b"abc"]
    world.wait()
    with pytest.raises(SystemExit) as caught:
        leave(3)
    assert caught.value.code == 3


def test_a_process_knows_who_it_is_before_it_joins(monkeypatch):
    for name, value in {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    world = World.current()
    assert (world.rank, world.size, world.local_rank, world.first) == (3, 4, 1, False)


class State(NamedTuple):
    h: torch.Tensor
    c: tuple[torch.Tensor, None]


def test_a_carry_is_taken_apart_and_nested_again():
    a, b, c = (torch.tensor(float(i), requires_grad=True) for i in range(3))
    carry = [State(a * 2, (b * 3, None)), {"slots": (c * 4,)}]
    assert [float(tensor.detach()) for tensor in flattened(carry)] == [0.0, 3.0, 8.0]
    again = rebuilt(carry, iter(flattened(carry)))
    assert type(again[0]) is State
    assert again[0].c[1] is None
    assert again[1]["slots"][0] is carry[1]["slots"][0]
    assert not any(tensor.requires_grad for tensor in flattened(detached(carry)))
    assert flattened(None) == []
    assert rebuilt(None, iter([])) is None


class Untouched(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(2, 2)

    def loss(self, batch, carry=None):
        return Loss(torch.zeros(()), 0)


@pytest.mark.parametrize("batch", [None, "empty"])
def test_no_part_of_a_batch_is_a_loss_of_zero_that_reaches_no_weight(batch):
    module = LossModule(Untouched())
    total, count, carry = module(batch, None)
    total.backward()
    assert (float(total.detach()), count, carry) == (0.0, 0, None)
    assert all(parameter.grad is None for parameter in module.model.parameters())
