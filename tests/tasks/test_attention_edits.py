"""Edits of self-attention that sees no later token, and of the hops of memory networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tasks_to_inspect import TEXT, random_weights, translator, writer

from unspool import Reader
from unspool.data import END, Story, Tokens
from unspool.errors import UsageError
from unspool.inspection.edits import read_edits
from unspool.tasks.parts.editing import attached, donors

SIZES = {"network": "transformer", "heads": 2, "layers": 2, "feedforward": 7}


# ---- the decoder of a translator ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines",
    [
        ["decoder layer 1 / self-attention head 2 = zero"],
        ["decoder layer 1 / self-attention[1] = zero @ 2-", "decoder layer 2 / self-attention head 1 = scale 0.5 @ 3"],
        ["decoder layer 2 / self-attention = 0.4 @ 2"],
        ["* / self-attention head 1[1,2] = swap @ 3-"],
    ],
)
def test_a_decoder_that_runs_step_by_step_meets_the_same_edits(lines):
    task = translator("transformer")
    trace, edits, parts = task.trace(TEXT, lines), read_edits(lines), task._parts()
    sources = task.fitted.encode_sources([TEXT], ["text"])
    source = Tokens(*sources.pad(np.array([0])))
    written = [task.target_vocabulary.id(unit) if unit else END for unit in trace.written.tokens]
    surprise = []
    with torch.no_grad(), attached(parts, edits, donors(parts, edits, task.trace)) as editors:
        state = task.model.start(source)
        for step, (read, id) in enumerate(zip([END, *written], written, strict=False)):
            editors.move_to(step)
            scores, state = task.model.advance(torch.tensor([read]), state)
            surprise.append(-float(scores[0, id]))
    assert trace.written.prediction["surprise"] == pytest.approx(surprise, abs=1e-4)
    plain = task.trace(TEXT)
    assert trace.written != plain.written
    for depth in (1, 2):
        for head in ("", " head 1", " head 2"):
            assert not np.triu(trace.map(f"decoder layer {depth} / self-attention{head}").values, 1).any()


def test_a_written_unit_is_forbidden_where_later_ones_look():
    task = translator("transformer")
    name = "decoder layer 1 / self-attention"
    before, after = task.trace(TEXT), task.trace(TEXT, [f"{name}[1] = zero @ 3"])
    for head in (1, 2):
        one, other = (trace.map(f"{name} head {head}").values for trace in (before, after))
        assert other[2, 1] == 0  # the column of the first written unit; the start symbol stands before it
        assert one[2, 1] > 0
        np.testing.assert_allclose(np.delete(other.sum(1), 2), 1, atol=1e-5)
    null = task.fork(TEXT, ["* / self-attention = scale 1", "* / attention = scale 1"])
    assert null.original == null.edited == task.trace(TEXT)
    (replay,) = task.replay([TEXT], [f"{name}[1] = zero @ 3"])
    assert replay.prediction.translation == after.prediction["translation"]


def test_a_row_of_another_translation_is_copied_as_far_as_it_reaches():
    task, other = translator("transformer"), "six five"
    name = "decoder layer 2 / self-attention"
    donor, copied = task.trace(other), task.trace(TEXT, [f"{name} = copy '{other}' @ 2"])
    for head in (1, 2):
        row, expected = (trace.map(f"{name} head {head}").values[1] for trace in (copied, donor))
        np.testing.assert_array_equal(row[:2], expected[:2])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("decoder layer 1 / self-attention[2] = zero @ 2", "token 2 sees tokens 1 to 1, and not 2"),
        ("decoder layer 1 / self-attention[1] = zero @ 1", "token 1 sees no token before it, and not 1"),
        ("decoder layer 1 / self-attention[1,3] = swap @ 3", "token 3 sees tokens 1 to 2, and not 3"),
        ("decoder layer 1 / self-attention = zero @ 99", "begins past the end"),
        ("decoder layer 9 / self-attention = zero", "there is no|no place 'decoder layer 9'"),
    ],
)
def test_what_a_decoder_never_sees_can_not_change(line, message):
    with pytest.raises(UsageError, match=message):
        translator("transformer").trace(TEXT, [line])


# ---- a language model --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines",
    [
        ["layer 1 / self-attention = 0.3 @ 2-"],
        ["layer 1 / self-attention head 2[3] = 0.7", "layer 2 / self-attention[1,4] = swap @ 2-6"],
        ["layer 2 / self-attention = copy 'six' @ 1-3"],
    ],
)
def test_an_edit_lets_no_token_see_a_later_one(lines):
    task = writer(**SIZES)
    whole, part = task.fork(TEXT, lines), task.fork(TEXT[:7], lines)
    for step, expected in zip(whole.steps, part.steps, strict=False):
        same = {name: expected.edited[name] for name in expected.edited if name in step.edited}
        assert {name: step.edited[name] for name in same} == pytest.approx(same, abs=1e-6)
        assert len(same) >= 5
    assert whole.divergence[:7] == pytest.approx(part.divergence, abs=1e-6)
    assert (part.divergence > 1e-4).any()
    forked, greedy, text = task.fork(TEXT, lines, length=5, temperature=0), "", TEXT
    for _ in range(5):
        unit = max(task.fork(text, lines).steps[-1].edited.items(), key=lambda item: item[1])[0]
        greedy, text = greedy + unit, text + unit
    assert forked.continuations.edited == greedy


def test_an_edit_of_a_later_token_is_refused():
    with pytest.raises(UsageError, match="in 'layer 1 / self-attention' token 2 sees tokens 1 to 2, and not 3"):
        writer(**SIZES).trace(TEXT, ["layer 1 / self-attention[3] = zero @ 2"])
    with pytest.raises(UsageError, match="begins past the end"):
        writer(**SIZES).trace(TEXT, ["layer 1 / self-attention[99] = zero"])


# ---- hops --------------------------------------------------------------------------------------------------------

PLACES = ["office", "garden", "kitchen"]
STORY = "1 Mary went to the {0}.\n2 John went to the {1}.\n3 Ann went to the {0}.\n4 Where is Mary? \t{0}\t1\n"
ASKED = "Mary went to the office. John went to the garden. Ann went to the kitchen. Where is Mary?"
OTHER = "Ann went to the garden. Mary went to the kitchen. John went to the office. Where is John?"
READERS = {
    "adjacent": {"network": "memory", "hops": 3},
    "layer-wise, gated": {"network": "memory", "hops": 2, "tying": "layer-wise", "gated": True},
    "key-value": {"network": "key-value", "hops": 3},
    "dynamic": {"network": "dynamic", "hops": 2, "cell": "gru"},
}


@pytest.fixture(scope="module")
def stories(tmp_path_factory):
    path = tmp_path_factory.mktemp("stories") / "stories.txt"
    path.write_text("".join(STORY.format(one, other) for one in PLACES for other in PLACES))
    return path


@pytest.fixture(scope="module", params=READERS)
def reader(request, stories):
    task = Reader(embedding=6, epochs=1, threads=1, linear_epochs=0, **READERS[request.param]).fit(stories)
    return random_weights(task)


def test_a_sentence_is_forbidden_in_one_hop_or_in_all(reader):
    before, hops = reader.trace(ASKED), reader.settings.network.hops
    after = reader.trace(ASKED, ["hops / hop 2[3] = zero"])
    one, two = (trace.array("hops / hop 2")[:, 0] for trace in (before, after))
    assert one[2] > 0
    assert two.tolist() == [*one[:2], 0]
    np.testing.assert_array_equal(after.array("hops / hop 1"), before.array("hops / hop 1"))
    if hops > 2:
        assert (after.array("hops / hop 3") != before.array("hops / hop 3")).any()
    assert after.prediction["probabilities"] != before.prediction["probabilities"]
    everywhere = reader.fork(ASKED, ["hops / attention[3] = zero"]).edited
    assert all(everywhere.array(f"hops / hop {hop + 1}")[2] == 0 for hop in range(hops))
    assert reader.trace(ASKED) == before
    (replay,) = reader.replay([ASKED], ["hops / hop 2[3] = zero"])
    assert replay.prediction.probability == pytest.approx(next(iter(after.prediction["probabilities"].values())))


def test_a_row_is_overwritten_scaled_swapped_and_copied(reader):
    null = reader.fork(ASKED, ["hops / attention = scale 1", "hops / hop 1 = scale 1"])
    assert null.original == null.edited == reader.trace(ASKED)
    row = reader.trace(ASKED).array("hops / hop 1")
    fork = reader.fork(ASKED, ["hops / hop 1 = 0.25", "hops / hop 1[2] = scale 3"])
    assert fork.edited.array("hops / hop 1")[:, 0].tolist() == [0.25, 0.75, 0.25]
    swapped = reader.trace(ASKED, ["hops / hop 1[1,3] = swap"]).array("hops / hop 1")
    assert swapped.tolist() == row[[2, 1, 0]].tolist()
    copied = reader.trace(ASKED, [f"hops / attention = copy '{OTHER}'"])
    for hop in range(1, reader.settings.network.hops + 1):
        expected = reader.trace(OTHER).array(f"hops / hop {hop}")
        np.testing.assert_array_equal(copied.array(f"hops / hop {hop}"), expected)


@pytest.mark.parametrize("name", ["adjacent", "layer-wise, gated", "key-value"])
def test_the_answer_is_that_of_the_equations_without_the_sentence(name, stories):
    task = random_weights(Reader(embedding=6, epochs=1, threads=1, linear_epochs=0, **READERS[name]).fit(stories))
    parts = [part.strip() for part in ASKED.split(".")]
    batch = task.fitted.encode([Story(tuple(parts[:-1]), parts[-1].rstrip("?"))]).batch(np.arange(1))
    model, hops = task.model, task.settings.network.hops
    if name == "key-value":
        words = model.encoder(model.table(batch.sentences.ids), batch.sentences.lengths)[batch.index[:, 0]]
        ages = torch.tensor([2, 1, 0])
        keys, values = [words + model.key_ages(ages)] * hops, [words + model.value_ages(ages)] * hops
        query = model.encoder(model.table(batch.questions.ids), batch.questions.lengths)[0]
    else:
        tables = model._sentences(batch)[:, 0].unbind(1)
        adjacent = name == "adjacent"
        keys, values = zip(*(tables[k : k + 2] if adjacent else tables[:2] for k in range(hops)), strict=True)
        words = model.tables[0 if adjacent else 2](batch.questions.ids)
        query = model.encoder(words, batch.questions.lengths)[0]
    for k in range(hops):
        weights = (keys[k] @ query).softmax(0) * (torch.tensor([0.0, 1, 1]) if k == 1 else 1)
        output = weights @ values[k]
        if name == "key-value":
            query = model.moves[k](query + output)
        elif name == "adjacent":
            query = query + output
        else:
            gate = torch.sigmoid(model.gates[k](query))
            query = output * gate + model.between(query) * (1 - gate)
    if name == "layer-wise, gated":
        logits = model.output(query)
    else:
        logits = (model.table if name == "key-value" else model.tables[-1]).weight[model.answers] @ query
    expected = dict(zip(map(task.answers.name, range(len(task.answers))), logits.softmax(0).tolist(), strict=True))
    actual = task.trace(ASKED, ["hops / hop 2[1] = zero"]).prediction["probabilities"]
    assert dict(actual) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("hops / hop 1 = zero @ 2", "the question looks in 'hops / hop 1', and no token; leave the @ out"),
        ("hops / hop 1[4] = zero", "hops / hop 1 has units 1 to 3, so there is no unit 4"),
        ("hops / hop 9 = zero", "no place 'hops'"),
        ("hops / hop 1 = copy 'Mary went to the garden. Where is Mary?'", r"has shape \(1,\), and \(3,\) is expected"),
    ],
)
def test_what_a_hop_can_not_do_is_said(reader, line, message):
    with pytest.raises(UsageError, match=message):
        reader.trace(ASKED, [line])
