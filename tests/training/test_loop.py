import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny_training import (
    Piece,
    Ragged,
    TinyClassifier,
    Windows,
    assert_same_bits,
    classifier,
    language_model,
    mean_loss,
    state_of,
    train,
)
from torch import nn

from unspool.errors import MachineError, SettingError, TrainingError, UsageError
from unspool.models.loss import Loss
from unspool.training import TrainingSettings, fit


def lines(folder: Path, kind: str) -> list[dict]:
    text = (folder / "training" / "log.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, text) if line["kind"] == kind]


def test_it_does_what_a_plain_loop_does(tmp_path):
    source, model = Windows(), language_model(dropout=0.0, noise=False)
    plain = language_model(dropout=0.0, noise=False)
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in plain.parameters() if p.dim() > 1], "weight_decay": 0.1},
            {"params": [p for p in plain.parameters() if p.dim() < 2], "weight_decay": 0.0},
        ],
        lr=0.03,
        betas=(0.8, 0.95),
        eps=1e-6,
        fused=True,
    )
    for epoch in range(3):
        carry = None
        for batch in source.epoch(epoch):
            optimizer.zero_grad()
            total, count, carry = plain.loss(batch, carry)
            carry = type(carry)(carry.h.detach(), (carry.seen[0], [t.detach() for t in carry.seen[1]]))
            (total / count).backward()
            nn.utils.clip_grad_norm_(plain.parameters(), 0.5)
            optimizer.step()
    settings = {"beta1": 0.8, "beta2": 0.95, "epsilon": 1e-6, "weight_decay": 0.1, "clip": 0.5}
    result = train(model, source, tmp_path, validate=None, epochs=3, **settings | {"learning_rate": 0.03})
    assert_same_bits(model, plain)
    assert (result.updates, result.epoch, result.stopped, result.best) == (21, 3.0, "done", {})


def test_accumulated_batches_weigh_by_their_targets(tmp_path):
    source = Ragged()
    model, plain = classifier().double(), classifier().double()
    train(model, source, tmp_path, validate=None, epochs=1, accumulate=4, optimizer="sgd", learning_rate=0.5, clip=None)
    batches = list(source.epoch(0))
    for part in (batches[:4], batches[4:]):
        losses = [plain.loss(batch) for batch in part]
        mean = sum(loss.total for loss in losses) / sum(loss.count for loss in losses)
        parameters = list(plain.parameters())
        for parameter, gradient in zip(
            parameters, torch.autograd.grad(mean, parameters, allow_unused=True), strict=True
        ):
            decay = 0.01 * parameter.detach() if parameter.dim() > 1 else 0.0
            if gradient is not None:
                parameter.data -= 0.5 * (gradient + decay)
    for name, tensor in plain.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], tensor, rtol=1e-12, atol=1e-13)


def test_the_carry_runs_through_an_epoch_and_no_further(tmp_path):
    model = language_model()
    train(model, Windows(batches=3), tmp_path, validate=None, epochs=2)
    assert [carry is None for carry in model.carries] == [True, False, False, True, False, False]
    assert [float(carry.seen[0]) for carry in model.carries if carry is not None] == [5, 10, 5, 10]
    assert not any(carry.h.requires_grad for carry in model.carries if carry is not None)


def test_it_ends_with_the_best_weights_and_their_metrics(tmp_path):
    source, scores = Windows(), iter([3.0, 1.0, 2.0, 2.5])
    seen = []

    def validate(model):
        assert not model.training
        assert not torch.is_grad_enabled()
        seen.append(state_of(model))
        return {"other": 7.0, "score": next(scores)}

    model = language_model()
    result = train(model, source, tmp_path, validate=validate, metric="score", epochs=4)
    assert_same_bits(model, seen[1])
    assert not model.training
    assert result.best == {"other": 7.0, "score": 1.0}
    assert (result.best_epoch, result.epoch) == (2.0, 4.0)
    assert [line["best"] for line in lines(tmp_path, "validation")] == [True, True, False, False]
    files = sorted(path.name for path in (tmp_path / "training").iterdir())
    assert files == ["best-14.safetensors", "checkpoint.safetensors", "log.jsonl"]


def test_higher_can_be_better_and_not_a_number_never_is(tmp_path):
    scores = iter([math.nan, 0.2, 0.4, 0.3])
    model = language_model()
    result = train(
        model,
        Windows(),
        tmp_path,
        validate=lambda _: {"score": next(scores)},
        metric="score",
        higher_is_better=True,
        epochs=4,
    )
    assert (result.best, result.best_epoch) == ({"score": 0.4}, 3.0)
    assert lines(tmp_path, "validation")[0]["score"] is None


def test_what_validation_draws_at_random_does_not_change_the_training(tmp_path):
    source, quiet, noisy = Windows(), language_model(), language_model()

    def validate(model):
        model.train()  # dropout and noise
        return mean_loss(source)(model)

    train(quiet, source, tmp_path / "quiet", validate=None, epochs=3)
    train(noisy, source, tmp_path / "noisy", validate=validate, epochs=3)
    stored = [load_file(tmp_path / name / "training" / "checkpoint.safetensors") for name in ("quiet", "noisy")]
    weights = [{n: t for n, t in tensors.items() if n != "weights/batches"} for tensors in stored]
    assert_same_bits(*weights)


@pytest.mark.parametrize(("every", "updates"), [(1.0, [7, 14, 21]), (0.5, [4, 7, 11, 14, 18, 21]), (1.5, [11, 21])])
def test_validations_come_when_they_should(tmp_path, every, updates):
    train(language_model(), Windows(), tmp_path, epochs=3, validate_every=every)
    assert [line["update"] for line in lines(tmp_path, "validation")] == updates


def test_patience_stops_the_run(tmp_path):
    scores = iter([5.0, 4.0, 4.0, 4.1, 3.0, 9.0, 9.0, 9.0])
    result = train(
        language_model(), Windows(), tmp_path, validate=lambda _: {"s": next(scores)}, metric="s", patience=3, epochs=9
    )
    assert (result.stopped, result.epoch, result.best_epoch) == ("patience", 8.0, 5.0)


def test_the_time_limit_stops_at_an_update_and_still_validates(tmp_path):
    result = train(language_model(), Windows(), tmp_path, minutes=1e-7, epochs=5)
    assert (result.stopped, result.updates) == ("minutes", 1)
    assert result.best_epoch == pytest.approx(1 / 7)


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("anneal", [8.0, 8.0, 2.0, 2.0, 0.5, 0.4]),
        ("plateau", [8.0, 8.0, 8.0, 8.0, 8.0, 2.0]),
    ],
)
def test_validation_divides_the_learning_rate(tmp_path, schedule, rates):
    scores = iter([5.0, 6.0, 4.0, 4.0, 7.0, 4.5])
    train(
        language_model(),
        Windows(),
        tmp_path,
        validate=lambda _: {"s": next(scores)},
        metric="s",
        schedule=schedule,
        plateau_length=2,
        final_learning_rate_fraction=0.05,
        optimizer="sgd",
        learning_rate=8.0,
        clip=0.01,
        epochs=6,
    )
    by_epoch = [line["learning_rate"] for line in lines(tmp_path, "train") if line["update"] % 7 == 0]
    assert by_epoch == rates


def test_cosine_comes_down_with_whatever_ends_the_run(tmp_path):
    train(
        language_model(), Windows(), tmp_path, schedule="cosine", warmup=2, epochs=2, validate=None, learning_rate=1.0
    )
    rates = [line["learning_rate"] for line in lines(tmp_path, "train")]
    shape = [(1 + math.cos(math.pi * update / 14)) / 2 for update in range(14)]
    assert rates == pytest.approx([shape[0] / 2, *shape[1:]])


def test_the_log_says_what_happened(tmp_path):
    source, model = Windows(), language_model(dropout=0.0, noise=False)
    before = language_model(dropout=0.0, noise=False)
    train(model, source, tmp_path, epochs=1)
    first = lines(tmp_path, "train")[0]
    loss = before.loss(source.pieces[0])
    assert first["loss"] == pytest.approx(float(loss.total.detach()) / loss.count)
    assert first.keys() == {
        *("kind", "update", "epoch", "loss", "gradient_norm", "learning_rate", "tokens_per_second", "seconds"),
        *("largest_gradient_norm", "clipped"),
    }
    (loss.total / loss.count).backward()
    norm = nn.utils.get_total_norm([p.grad for p in before.parameters()])
    assert first["gradient_norm"] == pytest.approx(float(norm))
    trained = lines(tmp_path, "train")
    counts = [int((piece.targets != -100).sum()) for piece in source.pieces]
    mean = sum(line["loss"] * count for line, count in zip(trained, counts, strict=True)) / sum(counts)
    assert lines(tmp_path, "validation")[0]["loss"] == pytest.approx(mean)


class Poisoned(Windows):
    """Windows whose batch at one position holds an id far away from the others' scale."""

    def __init__(self, at: tuple[int, int]) -> None:
        super().__init__()
        self.before = lambda *position: setattr(self, "bad", position == at)
        self.bad = False


class Fragile(nn.Module):
    """A linear network whose loss, or gradient alone, is not finite while the source says so."""

    def __init__(self, source: Poisoned, how: str) -> None:
        super().__init__()
        self.linear, self.source, self.how = nn.Linear(1, 1), source, how

    def loss(self, batch: Piece, carry: None = None) -> Loss:
        outputs = self.linear(batch.ids[..., None].float())
        total = (outputs - 1).square().sum()
        if self.source.bad and self.how == "loss":
            total = total / torch.zeros(())
        if self.source.bad and self.how == "gradient":
            total = total + (outputs.sum() * 0).sqrt()
        return Loss(total, batch.ids.numel())


def test_a_loss_that_is_not_finite_stops_the_run_and_saves_nothing_bad(tmp_path):
    source = Poisoned((2, 3))
    with pytest.raises(TrainingError) as caught:
        train(
            Fragile(source, "loss"), source, tmp_path, validate=lambda m: {"nats": 1.0}, learning_rate=1e-3, clip=None
        )
    text = str(caught.value)
    assert "the loss became inf at update 18 (epoch 3, batch 4 of 7); the mean loss before was" in text
    assert "lower learning_rate (now 0.001) or clip = 1 (now off)" in text
    assert f"checkpoint at update 14, {tmp_path}/training/checkpoint.safetensors, with: fit(..., resume=True)" in text
    weights = load_file(tmp_path / "training" / "checkpoint.safetensors")
    assert all(tensor.isfinite().all() for tensor in weights.values() if tensor.is_floating_point())


@pytest.mark.parametrize("clip", [1.0, None])
def test_a_gradient_that_is_not_finite_is_never_saved(tmp_path, clip):
    source = Poisoned((1, 6))  # the last of an epoch: validation and checkpoint come next
    model = Fragile(source, "gradient")
    with pytest.raises(
        TrainingError, match=r"norm became nan at update 14|weights are no longer finite after update 14"
    ):
        train(model, source, tmp_path, validate=lambda m: {"nats": 1.0}, learning_rate=1e-3, clip=clip)
    weights = load_file(tmp_path / "training" / "checkpoint.safetensors")
    assert all(tensor.isfinite().all() for tensor in weights.values() if tensor.is_floating_point())


def test_a_run_that_failed_can_go_on_with_a_lower_learning_rate(tmp_path):
    source = Poisoned((1, 3))
    with pytest.raises(TrainingError):
        train(Fragile(source, "loss"), source, tmp_path, epochs=2, validate=lambda m: {"nats": 1.0}, learning_rate=1e-3)
    source.before = lambda *position: setattr(source, "bad", False)
    again = {"epochs": 2, "validate": lambda m: {"nats": 1.0}, "learning_rate": 1e-4, "resume": True}
    with pytest.raises(SettingError, match=r"learning_rate = 0.0001 \(was 0.001\).*allow=\['learning_rate'\]"):
        train(Fragile(source, "loss"), source, tmp_path, **again)
    assert train(Fragile(source, "loss"), source, tmp_path, **again, allow=["learning_rate"]).updates == 14


def test_a_batch_without_targets_moves_nothing(tmp_path):
    source = Windows(batches=2)
    source.pieces = [source.pieces[0], Piece(source.pieces[1].ids, torch.full_like(source.pieces[1].ids, -100))]
    after = []

    def validate(model):
        after.append({name: parameter.detach().clone() for name, parameter in model.named_parameters()})
        return {"nats": 0.0}

    train(language_model(), source, tmp_path, epochs=1, validate=validate, validate_every=0.5)
    assert_same_bits(after[0], after[1])


def test_what_cannot_be_trained_is_refused_in_a_sentence(tmp_path):
    empty = Windows()
    empty.pieces = []
    with pytest.raises(TrainingError, match="nothing to train on"):
        train(language_model(), empty, tmp_path, validate=None)
    with pytest.raises(SettingError, match="patience = 2 needs validation data"):
        train(language_model(), Windows(), tmp_path, validate=None, patience=2)
    with pytest.raises(SettingError, match="schedule = anneal needs validation data"):
        train(language_model(), Windows(), tmp_path, validate=None, schedule="anneal")
    with pytest.raises(UsageError, match=r"has no score 'nat' \(did you mean 'nats'\?\); it has nats"):
        train(language_model(), Windows(), tmp_path, metric="nat")
    with pytest.raises(MachineError, match="device = cuda:99: this machine has"):
        train(language_model(), Windows(), tmp_path, device="cuda:99")


def test_a_source_that_gives_less_than_it_announced_is_named(tmp_path):
    source = Windows()
    source.epoch = lambda number, *, start=0: iter(source.pieces[start:5])
    with pytest.raises(TrainingError, match="epoch 1 has 5 batches, and the source announced 7"):
        train(language_model(), source, tmp_path, validate=None)


def test_a_folder_that_holds_a_run_is_not_overwritten(tmp_path):
    train(language_model(), Windows(), tmp_path, epochs=1)
    before = (tmp_path / "training" / "checkpoint.safetensors").read_bytes()
    with pytest.raises(UsageError, match=r"holds a run already: go on with it \(unspool train --resume\)"):
        train(language_model(), Windows(), tmp_path, epochs=1, resume_with="unspool train --resume")
    assert (tmp_path / "training" / "checkpoint.safetensors").read_bytes() == before


CHANGES = [
    {"accumulate": 3},
    {"optimizer": "adam"},
    {"optimizer": "sgd"},
    {"learning_rate": 0.01},
    {"weight_decay": 0.3},
    {"beta1": 0.5},
    {"beta2": 0.5},
    {"epsilon": 1e-2},
    {"clip": 0.01},
    {"schedule": "linear"},
    {"warmup": 9},
    {"precision": "bfloat16"},
    {"average": "ema"},
    {"average": "tail"},
    {"seed": 1},
    {"epochs": 1},
]


def test_every_setting_of_the_loop_changes_the_outcome(tmp_path):
    outcomes = {}
    for index, change in enumerate([{}, *CHANGES]):
        model = language_model()
        train(model, Windows(), tmp_path / str(index), validate=None, **{"epochs": 2, "clip": 0.1, **change})
        outcomes[str(change)] = model.rnn.weight_hh_l0.detach().double().flatten().tolist()
    assert len({tuple(weights) for weights in outcomes.values()}) == len(outcomes)


@pytest.mark.parametrize(
    ("base", "change"),
    [
        ({"optimizer": "sgd"}, {"momentum": 0.5}),
        ({"average": "ema"}, {"decay": 0.3}),
        ({"average": "tail"}, {"tail": 0.6}),
        ({"schedule": "linear"}, {"final_learning_rate_fraction": 0.5}),
        ({"schedule": "cosine"}, {"schedule": "linear"}),
    ],
)
def test_settings_that_go_with_others_change_the_outcome(tmp_path, base, change):
    outcomes = []
    for index, settings in enumerate((base, base | change)):
        model = language_model()
        train(model, Windows(), tmp_path / str(index), validate=None, epochs=2, **settings)
        outcomes.append(model.rnn.weight_hh_l0.detach().clone())
    assert not torch.equal(*outcomes)


def test_the_number_of_threads_is_set_while_it_trains(tmp_path):
    before, inside = torch.get_num_threads(), []
    source = Windows()
    source.before = lambda *_: inside.append(torch.get_num_threads())
    train(language_model(), source, tmp_path, validate=None, epochs=1, threads=before + 1)
    assert set(inside) == {before + 1}
    assert torch.get_num_threads() == before


def test_the_network_learns(tmp_path):
    source = Ragged()
    model = TinyClassifier()
    train(model, source, tmp_path, epochs=60, learning_rate=0.1, weight_decay=0.0)
    guesses = [model.readout(model.embedding(piece.ids).mean(0)).argmax(1) for piece in source.pieces]
    right = sum(int((guess == p.targets).sum()) for guess, p in zip(guesses, source.pieces, strict=True))
    assert right >= 15  # of 22


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_the_losses_are_those_of_the_cpu(tmp_path):
    for device in ("cpu", "cuda"):
        model = language_model(dropout=0.0, noise=False)
        fit(model, Windows(), TrainingSettings(epochs=2, device=device), folder=tmp_path / device)
    a, b = ([line["loss"] for line in lines(tmp_path / device, "train")] for device in ("cpu", "cuda"))
    assert a == pytest.approx(b, rel=1e-4)
