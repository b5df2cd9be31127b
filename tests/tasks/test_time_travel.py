"""Traces with edits and forks, of every task: equal where nothing changes, the donor's where all of it is copied."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from tasks_to_inspect import LINES, OTHER, TEXT, classifier, random_weights, settings, tagger, translator, writer

from unspool import Algorithm, Assistant, Classifier, LanguageModel, Reader
from unspool.cli import demo_agreement
from unspool.errors import UsageError
from unspool.inspection import Edit
from unspool.samples import agreement

RECURRENT = {
    "stacked lstm": lambda: classifier(cell="lstm", layers=2, bidirectional=False, pooling="last"),
    "bidirectional gru": lambda: classifier(cell="gru", layers=2),
    "gru-reset-before, residual": lambda: classifier(cell="gru-reset-before", layers=2, residual=True),
    "hyperlstm": lambda: classifier(cell="hyperlstm", pooling="attention"),
    "mingru": lambda: classifier(cell="mingru", layers=2),
    "tagger": tagger,
    "writer": lambda: writer(layers=2),
    "additive": lambda: translator("additive"),
    "bilinear": lambda: translator("bilinear"),
    "every-step": lambda: translator("every-step"),
}


@pytest.mark.parametrize("name", RECURRENT)
def test_edits_that_change_no_number_leave_the_trace_as_it_is_bit_for_bit(name):
    task = RECURRENT[name]()
    trace = task.trace(TEXT)
    arrays = [array for side in (trace, trace.written) if side is not None for array in side.arrays]
    edits = [f"{array} = scale 1 @ 2" for array in arrays if array.partition(" / ")[0] in task._parts().names]
    assert len(edits) >= 3
    fork = task.fork(TEXT, edits)
    assert fork.original == fork.edited == trace
    assert fork.first_divergence is None
    assert task.trace(TEXT, edits) == trace
    assert task.trace(TEXT) == trace  # and nothing stays behind


@pytest.mark.parametrize("name", RECURRENT)
def test_edits_change_what_follows_and_nothing_before(name):
    task = RECURRENT[name]()
    place = task._parts().names[0]
    fork = task.fork(TEXT, [f"{place} / h[2] = 3 @ 2"])
    before, after = fork.original.array(f"{place} / h"), fork.edited.array(f"{place} / h")
    assert after[1, 1] == 3
    np.testing.assert_array_equal(after[0], before[0])
    assert (after[2] != before[2]).any()
    assert fork.original == task.trace(TEXT)
    assert fork.original.prediction != fork.edited.prediction or fork.original.written != fork.edited.written


def test_all_states_of_a_text_make_a_classifier_continue_as_the_other_text():
    task = RECURRENT["stacked lstm"]()
    donor = "six five three four"
    fork = task.fork(TEXT, [f"* / state = copy '{donor}' @ 2"])
    expected = task.trace(donor)
    assert dict(fork.edited.prediction) == dict(expected.prediction)
    assert dict(fork.original.prediction) != dict(expected.prediction)
    for name, array in expected.arrays.items():
        np.testing.assert_array_equal(fork.edited.array(name)[2:], array[2:])


@pytest.mark.parametrize("cell", ["lstm", "gru", "ntm", "mingru"])
def test_all_states_of_a_text_make_a_language_model_continue_as_the_other_text(cell):
    task = writer(cell=cell, layers=2, residual=False)
    prompt, donor = "one two", "six six"
    fork = task.fork(prompt, [f"* / state = copy '{donor}' @ 3"], length=12, seed=5)
    expected = task.fork(donor[:3] + prompt[3:], length=12, seed=5)
    for row in range(7):
        likely = dict(list(expected.steps[row].original.items())[:8])
        same = {name: fork.steps[row].edited.get(name) for name in likely} == likely
        assert same == (row >= 2), row
    assert fork.divergence[:2].tolist() == [0, 0]
    assert fork.divergence[2] > 0
    assert fork.first_divergence == 2
    assert fork.continuations.edited == expected.continuations.original == expected.continuations.edited
    assert fork.continuations.original == task.generate(prompt, length=12, seed=5)[len(prompt) :]
    generated = task.generate(prompt, length=12, seed=5, edits=fork.edits)
    assert generated == prompt + fork.continuations.edited


def test_the_divergence_is_that_of_the_next_unit():
    task = writer()
    fork = task.fork("one two", ["layer 1 / c = zero @ 4"])
    ids = torch.tensor([2, *task.vocabulary.encode("one two")])
    with torch.no_grad():
        original = task.model(ids.unsqueeze(1))[0][1:, 0].double()
        head, state = task.model.states(ids[:5].unsqueeze(1), None)
        ((state,),) = state
        empty = ((state._replace(c=torch.zeros_like(state.c)),),)
        tail, _ = task.model.states(ids[5:].unsqueeze(1), empty)
        edited = task.model.softmax.log_probabilities(torch.cat([head, tail]))[1:, 0].double()
    expected = (original.exp() * (original - edited)).sum(-1)
    np.testing.assert_allclose(fork.divergence, expected.numpy(), atol=1e-6)
    assert fork.divergence[3] == 0  # the cell state counts from the next unit on
    assert fork.first_divergence == 4


def test_a_step_of_the_text_that_is_generated_can_be_edited():
    task = writer()
    plain = task.generate("one", length=8, temperature=0)
    same = task.generate("one", length=8, temperature=0, edits=["layer 1 / h = scale 1 @ 6-", "* / c = scale 1 @ 2"])
    assert same == plain
    forced = task.generate("one", length=8, temperature=0, edits=["token = 'x' @ 6"])
    assert (forced[:5], forced[5]) == (plain[:5], "x")
    assert forced[6:] == task.generate(forced[:6], length=5, temperature=0)[6:]
    assert (
        "".join(task.stream("one", length=8, temperature=0, edits=["token = 't' @ 1"]))
        == task.generate("tne", length=8, temperature=0)[3:]
    )
    assert task.generate("one", length=1, temperature=0, edits=["token = 't' @ 1"]).startswith("tne")
    changed = task.generate("one", length=8, temperature=0, edits=["layer 1 / h = -3 @ 5-"])
    assert changed[:4] == plain[:4]
    assert changed != plain
    with pytest.raises(UsageError, match="begins past the end: there are 11 tokens"):
        task.generate("one", length=8, edits=["layer 1 / h = 0 @ 12"])
    with pytest.raises(UsageError, match="'xy' is not one unit of the vocabulary"):
        task.generate("one", length=8, edits=["token = 'xy' @ 5"])


def test_a_mixture_forks_with_its_n_grams():
    task = LanguageModel(**settings(units="character", steps=16, mix=True, valid_fraction=0.3))
    task.fit(["\n".join(LINES) + "\n"], baselines=False)
    random_weights(task)
    task.fitted.mixture = task.fitted.mixture._replace(share=0.5)
    fork = task.fork("one two", ["* / h = 0.9 @ 2"], length=5, seed=1)
    reading = task.predict("one two")
    last = fork.steps[-1].original
    assert [last[unit] for unit in reading.next] == pytest.approx(list(reading.next.values()), abs=1e-6)
    assert fork.original.prediction["probabilities"] == {unit: last[unit] for unit in reading.next}
    assert fork.first_divergence == 1


@pytest.mark.parametrize("name", ["stacked lstm", "tagger", "writer", "additive"])
def test_a_new_token_is_a_new_text(name):
    task = RECURRENT[name]()
    place, new, text = ("6", "r", "one twr three four") if name == "writer" else ("2", "six", "one six three four")
    place = "7" if name == "writer" else place
    fork = task.fork(TEXT, [f"token = '{new}' @ {place}"])
    assert fork.edited == task.trace(text)
    assert fork.original == task.trace(TEXT)
    with pytest.raises(UsageError, match="a new token takes the place of one token"):
        task.trace(TEXT, [f"token = 'six six' @ {place}"])
    with pytest.raises(UsageError, match="begins past the end"):
        task.trace(TEXT, ["token = 'six' @ 99"])


def test_a_list_of_words():
    task = tagger()
    assert task.trace(["one", "two"], ["token = 'six' @ 2"]) == task.trace(["one", "six"])


def test_forks_of_forks_add_up():
    task = RECURRENT["writer"]()
    first = task.fork("one two", ["layer 1 / h[1] = 2 @ 2"])
    second = task.fork(first, ["layer 2 / c[3] = scale 3 @ 4"])
    assert second.original == first.edited
    assert second.edited == task.trace("one two", ["layer 1 / h[1] = 2 @ 2", "layer 2 / c[3] = scale 3 @ 4"])
    assert [str(edit) for edit in second.all_edits] == ["layer 1 / h[1] = 2 @ 2", "layer 2 / c[3] = scale 3 @ 4"]
    assert second.divergence[:3].tolist() == [0, 0, 0]
    whole = task.fork("one two", second.all_edits)
    assert whole.edited == second.edited
    assert whole.original == first.original


def test_taggers_and_classifiers_have_the_change_of_every_probability():
    task = tagger()
    fork = task.fork(TEXT, ["layer 1 forward / h = -1 @ 2-3"])
    tags = fork.original.prediction["tags"]
    for step, tag, share in zip(fork.steps, tags, fork.original.prediction["tag_probabilities"], strict=True):
        assert sum(step.original.values()) == pytest.approx(1)
        assert step.original[tag] == pytest.approx(share, abs=1e-6)
    assert (fork.divergence > 0).any()
    task = RECURRENT["stacked lstm"]()
    fork = task.fork(TEXT, ["* / h = 1 @ 4"])
    (step,) = fork.steps
    assert step.original == fork.original.prediction["probabilities"]
    assert step.edited == {name: fork.edited.prediction["probabilities"][name] for name in step.original}
    p, q = (np.array(list(side.values())) for side in step)
    assert fork.divergence[0] == pytest.approx((p * np.log(p / q)).sum())


@pytest.mark.parametrize("network", ["additive", "bilinear", "dot"])
def test_a_row_of_attention_that_looks_at_one_word(network):
    task = translator(network)
    trace = task.trace(TEXT)
    fork = task.fork(TEXT, ["attention = zero @ 2", "attention[3] = 1 @ 2", "attention = scale 1 @ 1"])
    weights = fork.edited.map("attention").values
    assert weights[1].tolist() == [0, 0, 1, 0]
    np.testing.assert_array_equal(weights[0], trace.map("attention").values[0])
    assert task.fork(TEXT, ["attention = scale 1"]).edited == trace
    assert fork.edited.written != trace.written
    if network == "bilinear":  # attends after the recurrence
        return
    h = "decoder layer 1 / h"
    np.testing.assert_array_equal(fork.edited.written.array(h)[0], trace.written.array(h)[0])
    assert (fork.edited.written.array(h)[1] != trace.written.array(h)[1]).any()


def test_the_search_meets_the_edits_at_every_step():
    task = translator("additive")
    edits = ["decoder layer 2 / h[1,2] = 2 @ 2-", "encoder layer 1 forward / c = zero @ 2", "attention[2] = 1 @ 3"]
    trace = task.trace(TEXT, edits)
    translation = task.fork(TEXT, edits).edited.prediction["translation"]
    (replay,) = task.replay([TEXT], edits)
    assert trace.prediction["translation"] == translation == replay.prediction.translation
    (plain,) = task.replay([TEXT], [])
    assert plain.prediction.translation == task.predict(TEXT).translation
    assert plain.prediction.score == pytest.approx(task.predict(TEXT).score, rel=1e-5)
    # The search counted the same probabilities as the pass over the whole output that the trace records.
    task.settings = task.settings.replace(**{"decoding.length_penalty": 0.0})
    (replay,) = task.replay([TEXT], edits)
    surprise = task.trace(TEXT, edits).written.prediction["surprise"]
    assert sum(surprise) == pytest.approx(-replay.prediction.score, rel=1e-5)
    assert replay.prediction.score != pytest.approx(task.predict(TEXT).score, rel=1e-3)


def test_heads_of_transformers():
    task = translator("transformer")
    name = "decoder layer 2 / attention"
    fork = task.fork(TEXT, [f"{name} head 2 = zero", "encoder layer 1 / self-attention head 1[1] = 0.5 @ 3"])
    assert (fork.edited.map(f"{name} head 2").values == 0).all()
    assert (fork.edited.map(f"{name} head 1").values > 0).any()
    looks = fork.edited.map("encoder layer 1 / self-attention head 1").values
    assert looks[2, 0] == 0.5
    assert looks[1, 0] != 0.5
    null = task.fork(TEXT, [f"{name} = scale 1", "* / self-attention head 2 = scale 1"])
    assert null.edited == null.original == task.trace(TEXT)
    with pytest.raises(UsageError, match="has 2 slots or heads, so there is no 3"):
        task.trace(TEXT, [f"{name} head 3 = 0"])
    with pytest.raises(UsageError, match="there are 'encoder layer 1 / self-attention'"):
        task.trace(TEXT, ["nothing / attention = 0"])


@pytest.mark.parametrize("make", [classifier, writer], ids=["classifier", "writer"])
def test_self_attention_of_classifiers_and_language_models(make):
    task = make(network="transformer", heads=2, layers=2, feedforward=7)
    null = task.fork(TEXT, ["* / self-attention = scale 1"])
    assert null.original == null.edited
    fork = task.fork(TEXT, ["layer 1 / self-attention head 2 = zero @ 3-"])
    if make is writer:
        assert fork.divergence[:2].tolist() == [0, 0]
        assert fork.divergence[2] > 0
        with pytest.raises(UsageError, match="within the context of 64 units"):
            task.trace(TEXT * 5, ["layer 1 / self-attention = 0"])
        edits = ["layer 1 / self-attention head 2 = zero @ 3-"]
        forked = task.fork(TEXT, edits, length=6, temperature=0)
        greedy, text = "", TEXT
        for _ in range(6):
            unit = max(task.fork(text, edits).steps[-1].edited.items(), key=lambda item: item[1])[0]
            greedy, text = greedy + unit, text + unit
        assert forked.continuations.edited == greedy
    else:
        assert fork.divergence[0] > 0
        expected = task.trace(TEXT, ["layer 1 / self-attention head 2 = zero @ 3-"]).prediction
        assert dict(fork.edited.prediction) == dict(expected)


def test_a_slot_of_a_turing_machine():
    sizes = {"hidden": 12, "examples": 64, "valid_examples": 24, "epochs": 1, "batch_size": 8, "width": 3}
    task = Algorithm(cell="ntm(slots=6, width=4)", max_length=3, **sizes).fit(["copy"])
    text = "101 110"
    random_weights(task)
    trace = task.trace(text)
    fork = task.fork(text, ["layer 1 / memory slot 3 = zero @ 2", "layer 1 / write_weights = scale 1"])
    before, after = (side.array("layer 1 / memory").reshape(5, 6, 4) for side in (trace, fork.edited))
    np.testing.assert_array_equal(after[0], before[0])
    assert (after[1, 2] == 0).all()
    np.testing.assert_array_equal(np.delete(after[1], 2, 0), np.delete(before[1], 2, 0))
    answers = "output / answer"
    np.testing.assert_array_equal(fork.edited.array(answers)[:2], trace.array(answers)[:2])
    assert (fork.edited.array(answers)[2:] != trace.array(answers)[2:]).any()
    assert fork.original == trace
    assert (fork.divergence.size, fork.steps) == (0, ())
    with pytest.raises(UsageError, match="does not stand in the text itself"):
        task.trace(text, ["token = '1' @ 1"])


def test_the_cell_over_sentences_of_a_reader(tmp_path):
    places = ["office", "garden", "kitchen"]
    story = "1 Mary went to the {0}.\n2 John went to the {1}.\n3 Where is Mary? \t{0}\t1\n"
    stories = [story.format(one, other) for one in places for other in places]
    (tmp_path / "stories.txt").write_text("".join(stories))
    task = Reader(network="dynamic", embedding=6, hops=2, epochs=1, cell="gru", threads=1).fit(tmp_path / "stories.txt")
    random_weights(task)
    asked = "Mary went to the office. John went to the garden. Where is Mary?"
    trace = task.trace(asked)
    place = task._parts().names[0]
    assert task.fork(asked, [f"{place} / h = scale 1"]).edited == trace
    fork = task.fork(asked, [f"{place} / h = 2 @ 2"])
    assert (fork.edited.array(f"{place} / h")[1] == 2).all()
    assert fork.edited.prediction["probabilities"] != trace.prediction["probabilities"]
    sentence = "token = 'John went to the office.' @ 2"
    assert task.trace(asked, [sentence]) == task.trace(asked.replace("garden", "office"))


def test_the_generator_of_an_assistant():
    pairs = [(line, line[::-1]) for line in LINES[:12]]
    task = Assistant(generator=True, hidden=6, embedding=5, epochs=1, threads=1).fit(pairs, baselines=False)
    random_weights(task)
    trace = task.trace(TEXT)
    place = task._parts().names[0]
    assert task.fork(TEXT, [f"{place} / h = scale 1"]).edited == trace
    fork = task.fork(TEXT, [f"{place} / h = 2 @ 2"])
    assert fork.edited.written != trace.written
    assert fork.edited.prediction == trace.prediction
    memory = Assistant(generator=False, epochs=1, threads=1).fit(pairs, baselines=False)
    with pytest.raises(UsageError, match="no cell or attention to edit"):
        memory.trace(TEXT, [f"{place} / h = 2 @ 2"])


def test_what_can_not_be_edited_is_said():
    task = RECURRENT["stacked lstm"]()
    for edit, message in {
        "layer 3 / h = 0": "this network has no place 'layer 3' \\(did you mean 'layer 2'",
        "layer 1 / forgot = 0": "layer 1 has no 'forgot'; it has input, forget, candidate, output, h, c",
        "layer 1 / h[7] = 0": "layer 1 / h has units 1 to 6, so there is no unit 7",
        "layer 1 / h = 0 @ 5": "begins past the end: there are 4 tokens",
        "layer 1 / h = copy 'six' @ 2": "copies from token 2 of 'six', which has 1 tokens",
        "layer 1 / forgot = copy 'six' @ 1": "layer 1 has no 'forgot'|has no 'forgot' to copy",
    }.items():
        with pytest.raises(UsageError, match=message):
            task.trace(TEXT, [edit])
    with pytest.raises(UsageError, match="this network has no cell or attention to edit"):
        classifier(network="bag").trace(TEXT, ["layer 1 / h = 0"])
    with pytest.raises(UsageError, match=r"has not been trained|train it"):
        Classifier().fork(TEXT, ["layer 1 / h = 0"])


def test_a_replay_predicts_each_text_with_the_edits_and_says_which_did_not_apply():
    task = RECURRENT["stacked lstm"]()
    edits = [Edit.parse("layer 1 / h = 2 @ 4"), Edit.parse("token = 'six' @ 2")]
    replays = list(task.replay([TEXT, OTHER, "one"], edits))
    assert replays[0].prediction.probabilities == pytest.approx(task.trace(TEXT, edits).prediction["probabilities"])
    assert [replay.unused for replay in replays] == [(), (edits[0],), (edits[0], edits[1])]
    short = task.trace(OTHER, edits[1:]).prediction["probabilities"]
    assert replays[1].prediction.probabilities == pytest.approx(short)


def test_forks_of_two_threads_do_not_meet():
    task = RECURRENT["writer"]()
    edits = [[f"layer 1 / h[{unit}] = 2 @ 3"] for unit in (1, 2, 3, 4)]
    expected = [task.trace(TEXT, edit) for edit in edits]
    plain = task.trace(TEXT)
    with ThreadPoolExecutor(4) as threads:
        forks = list(threads.map(lambda edit: task.fork(TEXT, edit), edits * 3))
    for fork, trace in zip(forks, expected * 3, strict=True):
        assert fork.edited == trace
        assert fork.original == plain


@pytest.mark.slow
def test_the_verb_flips_with_the_state_after_the_subject():
    sentences = agreement.generate(8600, seed=1)
    task = Classifier(**demo_agreement._SETTINGS, cell="lstm")
    rows = [[(each.text, each.label) for each in part] for part in (sentences[:8000], sentences[8000:])]
    task.fit(rows[0], valid=rows[1], baselines=False)
    flips = same = 0
    for example in agreement.generate(100, 7, min_attractors=1):
        text, other = agreement.minimal_pair(example)
        fork = task.fork(text, [f"* / state = copy '{other}' @ {example.subject + 1}"])
        flips += fork.original.prediction["label"] != fork.edited.prediction["label"]
        same += fork.edited.prediction == task.trace(other).prediction
    assert flips >= 95
    assert same == 100


def test_the_name_of_a_map_of_self_attention_names_it_in_an_edit_too():
    model = Classifier(
        network="transformer", hidden=8, layers=1, heads=2, ngrams=False, epochs=1, threads=1, plan=False
    )
    model.fit(["a dog ran", "two dogs ran"] * 8, ["one", "many"] * 8)
    by_map = model.trace("two dogs sat", ["layer 1 / attention head 2 = zero"])
    by_part = model.trace("two dogs sat", ["layer 1 / self-attention head 2 = zero"])
    assert "layer 1 / attention head 2" in model.trace("two dogs sat").maps
    assert by_map == by_part
    assert not by_map.map("layer 1 / attention head 2").values.any()
    assert by_map.map("layer 1 / attention head 1").values.any()
