"""The generator of an assistant: what it chooses and writes, piece by piece, and its settings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from pair_samples import SILENT
from pair_samples import SMALL_ASSISTANT as SMALL
from unspool import Assistant
from unspool.decoding import DecodingSettings
from unspool.errors import SettingError, UsageError
from unspool.training import Reporter


def test_the_generator_chooses_among_several_answers(both):
    told = both.questions[0]
    assert len(told.answers) == 3
    asked = "How do I bake bread?"
    scores = []
    for answer in told.answers:
        ids = both.vocabulary.encode(answer)
        state = both.model.generator.start(tokens_of(both, asked))
        total = 0.0
        for read, said in zip([2, *ids], [*ids, 2], strict=True):
            logs, state = both.model.generator.advance(torch.tensor([read]), state)
            total += float(logs[0, said].detach())
        scores.append(total / (len(ids) + 1))
    assert both.ask(asked).answer == told.answers[int(np.argmax(scores))]
    assert len({round(score, 3) for score in scores}) == 3
    told.answers.append("")  # to say nothing at all is likeliest by far, if the end is
    with torch.no_grad():
        both.model.generator.softmax.bias[2] = 100.0
    assert both.ask(asked).answer == ""


def tokens_of(task: Assistant, text: str) -> Any:
    from unspool.data import Tokens

    ids = torch.tensor(task.vocabulary.encode(text)).unsqueeze(1)
    return Tokens(ids, torch.tensor([len(ids)]))


def test_a_thousand_answers_to_one_question_are_kept_and_chosen_from(both):
    both.add([("How do I quit vim?", f"Press key number {number}.") for number in range(1000)])
    reply = both.ask("How do I quit vim?")
    assert len(reply.answers) == 1001
    assert reply.answer in reply.answers
    both.settings = both.settings.replace(batch_tokens=64_000)  # all in one batch
    assert both.ask("How do I quit vim?").answer == reply.answer


def test_the_generator_writes(folder, memory, both):
    said = both.write("How do I quit vim?")
    assert isinstance(said, str)
    assert said == both.write("How do I quit vim?")
    assert all(isinstance(both.write(asked), str) for asked in ("", "🦊", "x " * 500_000))
    with pytest.raises(UsageError, match="has no generator; train one with generator=True"):
        memory.write("How do I quit vim?")


def test_the_generator_writes_piece_by_piece(memory, both, monkeypatch):
    assert both.settings.decoding.search == "beam"
    streamed = "".join(both.stream("How do I quit vim?"))
    monkeypatch.setattr(both, "settings", both.settings.replace(**{"decoding.search": "greedy"}))
    assert streamed == both.write("How do I quit vim?")
    assert streamed
    drawn = DecodingSettings(search="sample", temperature=2.0)
    assert list(both.stream("vim", decoding=drawn, seed=1)) == list(both.stream("vim", decoding=drawn, seed=1))
    assert len({"".join(both.stream("vim", decoding=drawn, seed=seed)) for seed in range(5)}) > 1
    with pytest.raises(SettingError, match="can't be written unit by unit"):
        both.stream("vim", decoding=DecodingSettings())
    with pytest.raises(UsageError, match="has no generator"):
        memory.stream("vim")


@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
def test_what_is_written_comes_to_an_end(folder, positions, monkeypatch):
    monkeypatch.setattr("unspool.tasks.parts.encoder_decoders._LEARNED_POSITIONS", 64)
    settings = {
        **SMALL,
        "network": "transformer",
        "positions": positions,
        "heads": 2,
        "feedforward": 5,
        "epochs": 1,
    }
    task = Assistant(**{**settings, "hidden": 4, "decoding.max_length": None}).fit(
        folder / "train.jsonl", reporter=SILENT
    )
    with torch.no_grad():
        task.model.generator.softmax.bias[2] = -1e9
    longest = max(len(task.vocabulary.encode(answer)) for each in task.questions for answer in each.answers)
    seen = []
    monkeypatch.setattr(task.vocabulary, "decode", lambda ids: seen.append(len(ids)) or "")
    task.write("How do I quit vim?")
    assert seen == [64 if positions == "learned" else 2 * longest + 10]


def test_settings_of_writing_are_followed(both):
    both.settings = both.settings.replace(**{"decoding.max_length": 2})
    short = both.write("How do I quit vim?")
    both.settings = both.settings.replace(**{"decoding.max_length": 30, "decoding.min_length": 29})
    assert len(both.write("How do I quit vim?")) > len(short)


def test_there_is_no_generator_unless_one_is_asked_for(folder, tmp_path):
    assert not Assistant().settings.generator
    plain = Assistant(epochs=1, threads=1).fit(folder / "train.jsonl", reporter=SILENT)
    assert plain.model.generator is None
    assert plain.vocabulary is None


class Ear(Reporter):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def test_settings_of_a_generator_that_is_not_there_are_named(folder):
    for settings, expected in (
        ({"generator": False}, []),
        ({"generator": True, "hidden": 6}, []),
        ({"generator": False, "hidden": 6, "beam": 7}, ["network.hidden, decoding.beam have no effect"]),
    ):
        ear = Ear()
        Assistant(epochs=1, threads=1, **settings).fit(folder / "train.jsonl", reporter=ear)
        assert [note.removeprefix("note: ")[:44] for note in ear.notes if "effect" in note] == expected


def test_the_perplexity_is_of_the_answers_and_their_ends(both, folder):
    logs = []
    for each in both._read(folder / "train.jsonl")[1:4]:
        for wording in each.wordings:
            state = both.model.generator.start(tokens_of(both, wording))
            units = [*both.vocabulary.encode(each.answers[0]), 2]
            for read, said in zip([2, *units], units, strict=False):
                scores, state = both.model.generator.advance(torch.tensor([read]), state)
                logs.append(float(scores[0, said].detach()))
    found = both._perplexity(both.model, both._read(folder / "train.jsonl")[1:4])
    assert found["perplexity"] == pytest.approx(np.exp(-np.mean(logs)), rel=1e-3)
