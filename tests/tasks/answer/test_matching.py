"""Finding pairs: keys, training batches, thresholds and rankings, on pairs whose answers are known."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from unspool.data import LONGEST_TEXT, Bags, Question, merge_questions, read_questions
from unspool.errors import DataError, ModelFolderError
from unspool.models import Retriever
from unspool.tasks.answer.matching import (
    Confidence,
    KeyIndex,
    LookupSource,
    Matcher,
    PairBags,
    Probe,
    answer_weight,
    begin_retriever,
    calibrate,
    hold_out,
    learn_vocabulary,
    make_probes,
)
from unspool.training import TrainingSettings, fit

SOME = [
    (
        ["How do I reset my password?", "I forgot my password", "password lost, what now"],
        ["Click the link in the mail."],
    ),
    (["Where is the library?", "way to the library"], ["The library is behind the station.", "Behind the station."]),
    (
        ["When does the shop open?", "opening hours of the shop", "is the shop open on sunday"],
        ["The shop opens at nine."],
    ),
    (["Do cats purr?"], ["Cats purr when they are content."]),
    (["What is a neural network?", "explain neural networks"], ["A neural network is a function with many weights."]),
    (["How tall is the tower?"], ["The tower is ninety metres tall."]),
]
FAR = ["quantum chromodynamics lecture", "bake bread without yeast", "zzyzx", "", "?!"]


def pairs(some=SOME) -> list[Question]:
    return [Question(f"file:{line}", list(wordings), list(answers)) for line, (wordings, answers) in enumerate(some)]


def made(questions, **options):
    vocabulary = learn_vocabulary(questions)
    return PairBags(questions, vocabulary, **options)


def matcher(questions=None, *, threshold=0.5, weight=0.7) -> Matcher:
    questions = pairs() if questions is None else questions
    bags = made(questions, answer_weight=weight)
    confidence = Confidence(scale=20.0, nothing=0.4, threshold=threshold)
    return Matcher(questions, bags.vocabulary, begin_retriever(bags, size=5), confidence, answer_weight=weight)


def train(questions, folder, *, resume=False, before=None, epochs=4):
    bags = made(questions, answer_weight=0.7)
    source = LookupSource(questions, bags, batch_size=4, candidates=5, seed=3)
    if before is not None:
        source = _Dying(source, before)
    model = begin_retriever(bags, size=6, seed=2)
    fit(model, source, TrainingSettings(epochs=epochs, learning_rate=0.01, device="cpu"), folder=folder, resume=resume)
    return model, bags


class _Dying:
    def __init__(self, source, before):
        self.source, self.before = source, before

    def __len__(self):
        return len(self.source)

    def epoch(self, number, *, start=0):
        for place, batch in enumerate(self.source.epoch(number, start=start), start):
            if (number, place) == self.before:
                raise KeyError("died")
            yield batch


# ---- keys


def test_a_key_is_the_sum_of_wordings_of_length_one_and_of_the_answers_as_one_more():
    bags = made(pairs(), answer_weight=0.7)
    table = np.zeros(len(bags.vocabulary))
    for text in SOME[0][0]:
        bag = bags.vocabulary.bag(text)
        assert bag.unknown == 0
        table[bag.ids] += bag.values / bag.length
    answer = bags.vocabulary.bag(SOME[0][1][0])
    table[answer.ids] += 0.7 * answer.values / np.linalg.norm(answer.values)
    key = bags.key(0)
    assert_close(torch.from_numpy(table[key.ids]).float(), torch.from_numpy(key.values))
    assert np.count_nonzero(table) == len(key.ids)
    without = bags.key(0, {1, 2})
    own = bags.vocabulary.bag(SOME[0][0][0])
    assert set(without.ids) == set(own.ids) | set(answer.ids)


def test_several_answers_count_as_much_as_one():
    bags = made(pairs(), answer_weight=1.0)
    assert all(np.linalg.norm(answers.values) == pytest.approx(1) for answers in bags.answers)


@pytest.mark.parametrize("with_vectors", [1.0, 0.6])
def test_the_index_scores_as_the_model_does(with_vectors):
    questions = pairs()
    bags = made(questions)
    model = begin_retriever(bags, size=5)
    with torch.no_grad():
        model.importance.normal_(std=0.5)
        model.num_vectors.fill_(round(with_vectors * len(bags.vocabulary)))
    index = KeyIndex(model, bags.keys())
    for text in ["reset the cats", "zzz network", "", "qqq", *SOME[2][0]]:
        bag = bags.vocabulary.bag(text)
        expected = model.scores(Bags.of([bag]), bags.keys())[0]
        assert_close(torch.from_numpy(index.scores(bag)).float(), expected.detach(), rtol=1e-5, atol=1e-5)


def test_answers_weigh_as_much_as_they_tell():
    telling = [([f"{word} {word} where"], [f"{word} here"]) for word in ("alpha", "beta", "gamma", "delta")]
    assert answer_weight(made(pairs(telling * 1))) == 1.0
    silent = [([question], [answer]) for (question, *_), answer in zip(
        (wordings for wordings, _ in telling), ["yes", "no", "yes", "no"], strict=True
    )]  # fmt: skip
    assert answer_weight(made(pairs(silent))) == 0.0


# ---- training batches


def test_every_wording_asks_once_in_an_epoch_and_finds_its_pair_among_the_keys():
    questions = pairs()
    bags = made(questions, answer_weight=1.0)
    source = LookupSource(questions, bags, batch_size=4, word_dropout=0.0, hold_out=0.0)
    asked = []
    batches = list(source.epoch(0))
    assert len(batches) == len(source)
    for batch in batches:
        assert torch.equal(batch.keys.values, bags.keys().values[_order(batch, bags)])
        for row, target in enumerate(batch.targets):
            asked.append((_bag(batch.queries, row), _bag(batch.keys, int(target))))
    expected = [(bags.vocabulary.bag(text), bags.key(pair)) for pair, (texts, _) in enumerate(SOME) for text in texts]
    wordings = [(query.ids.tolist(), key.ids.tolist()) for query, key in expected]
    found = [(query, key) for query, key in asked if (query, key) in wordings]
    assert sorted(found) == sorted(wordings)
    sentences = [query for query, key in asked if (query, key) not in wordings]
    said = [bags.vocabulary.bag(text).ids.tolist() for _, answers in SOME for text in answers]
    assert len(sentences) == len(said)
    assert sorted(sentences) == sorted(said)


def _bag(together: Bags, row: int) -> list[int]:
    return together.ids[together.rows == row].tolist()


def _order(batch, bags) -> torch.Tensor:
    """Where the entries of a batch's keys stand among all keys."""
    keys, own = bags.keys(), []
    ids = [_bag(keys, row) for row in range(len(keys))]
    for row in range(len(batch.keys)):
        pair = ids.index(_bag(batch.keys, row))
        own.append(torch.arange(int(keys.offsets[pair]), int(keys.offsets[pair + 1])))
    return torch.cat(own)


def test_batches_are_a_function_of_seed_epoch_and_place():
    questions = pairs()
    bags = made(questions)
    source = LookupSource(questions, bags, batch_size=4, seed=5)
    whole, later = list(source.epoch(3)), list(source.epoch(3, start=2))
    for one, other in zip(whole[2:], later, strict=True):
        assert all(torch.equal(getattr(one.queries, name), getattr(other.queries, name)) for name in ("ids", "values"))
        assert torch.equal(one.keys.values, other.keys.values)
        assert torch.equal(one.targets, other.targets)
    first = [batch.queries.ids.tolist() for batch in whole]
    assert first != [batch.queries.ids.tolist() for batch in source.epoch(4)]
    assert first != [batch.queries.ids.tolist() for batch in LookupSource(questions, bags, batch_size=4).epoch(3)]


def test_a_wording_held_out_is_not_in_its_key():
    questions = pairs(SOME[:3])
    bags = made(questions, answer_weight=0.0)
    source = LookupSource(questions, bags, batch_size=1, word_dropout=0.0, hold_out=1.0)
    for batch in source.epoch(0):
        query, target = _bag(batch.queries, 0), int(batch.targets)
        key = _bag(batch.keys, target)
        wordings = next(wordings for wordings in bags.wordings if query in [each.ids.tolist() for each in wordings])
        others = [set(each.ids) for each in wordings if each.ids.tolist() != query]
        assert set(key) == set().union(*others)


def test_no_key_is_ever_held_out_whole():
    questions = pairs(SOME[:3])
    bags = made(questions, answer_weight=0.0)
    for batch in LookupSource(questions, bags, hold_out=1.0).epoch(0):  # every wording of every pair is held out
        assert all(_bag(batch.keys, row) for row in range(3))
    alone = pairs([(["aaa bbb"], ["x"]), (["ccc ddd"], ["y"])])
    bags = made(alone, answer_weight=0.0)
    for batch in LookupSource(alone, bags, hold_out=1.0).epoch(0):
        assert torch.equal(batch.keys.values.sort().values, bags.keys().values.sort().values)


def test_few_candidates_still_hold_every_query_s_pair():
    questions = pairs()
    source = LookupSource(questions, made(questions), batch_size=3, candidates=4)
    for batch in source.epoch(1):
        assert len(batch.keys) == 4
        assert int(batch.targets.max()) < 4


def test_one_pair_alone_can_t_be_trained():
    with pytest.raises(DataError, match="at least two"):
        LookupSource(pairs()[:1], made(pairs()[:1]))


def test_a_run_that_dies_and_is_resumed_ends_with_the_same_bits(tmp_path):
    whole, _ = train(pairs(), tmp_path / "whole")
    with pytest.raises(KeyError, match="died"):
        train(pairs(), tmp_path / "broken", before=(2, 1))
    resumed, _ = train(pairs(), tmp_path / "broken", resume=True)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_training_lowers_the_loss(tmp_path):
    questions = _many(30)
    bags = made(questions, answer_weight=0.7)
    batches = list(LookupSource(questions, bags, seed=9).epoch(0))
    trained, _ = train(questions, tmp_path, epochs=8)

    def nats(model):
        return sum(float(model.loss(batch).total.detach()) for batch in batches)

    assert nats(trained) < 0.9 * nats(begin_retriever(bags, size=6, seed=2))


def test_where_training_begins_is_a_function_of_the_seed_and_leaves_random_numbers_alone():
    bags = made(pairs())
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    one = begin_retriever(bags, size=12, seed=4)
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(one.projection, begin_retriever(bags, size=12, seed=4).projection)
    assert not torch.equal(one.projection, begin_retriever(bags, size=12, seed=5).projection)
    assert one.projection.isfinite().all()


def test_the_first_directions_are_those_of_the_keys():
    bags = made(pairs(), answer_weight=0.0)
    table = torch.zeros(12, len(bags.vocabulary))
    for row, bag in enumerate([*(bags.key(pair) for pair in range(6)), *bags.answers]):
        table[row, torch.from_numpy(bag.ids)] = torch.from_numpy(bag.values / max(1e-30, np.linalg.norm(bag.values)))
    _, strengths, directions = torch.linalg.svd(table, full_matrices=False)
    found = begin_retriever(bags, size=3).projection.detach()
    ratios = found.norm(dim=0) * strengths[:3].sqrt()
    assert_close(ratios / ratios[0], torch.ones(3), rtol=0.05, atol=0)
    alike = torch.nn.functional.normalize(found, dim=0) * directions[:3].T
    assert_close(alike.sum(0).abs(), torch.ones(3), rtol=0.05, atol=0)


# ---- confidence


def test_holding_out_keeps_one_wording_of_every_pair():
    questions = pairs()
    held = hold_out(questions, 0.5, seed=1)
    assert len(held.asked) == round(0.5 * 10)
    for pair, (kept, whole) in enumerate(zip(held.kept, questions, strict=True)):
        out = [text for other, text in held.asked if other == pair]
        assert len(kept.wordings) >= 1
        assert sorted([*kept.wordings, *out]) == sorted(whole.wordings)
        assert kept == replace(whole, wordings=[text for text in whole.wordings if text not in out])
    assert {pair for pair, _ in held.asked} == {0, 1, 2, 4}  # one of each pair before a second
    assert hold_out(questions, 0.5, seed=1) == held
    assert hold_out(questions, 0.0).asked == []
    assert len(hold_out(questions, 1.0).asked) == 6


def test_what_only_a_wording_held_out_has_is_unknown_in_its_probe():
    questions = pairs()
    bags = made(questions)
    held = hold_out(questions, 1.0)
    kept = PairBags(held.kept, bags.vocabulary)
    probes = [probe for probe in make_probes(held, kept) if not probe.altered]
    assert [probe.pair for probe in probes] == [pair for pair, _ in held.asked]
    left = {id for pair in range(len(kept)) for id in kept.key(pair).ids}
    for probe, (_, text) in zip(probes, held.asked, strict=True):
        whole = bags.vocabulary.bag(text)
        assert set(probe.bag.ids) == set(whole.ids) & left
        assert probe.bag.length == pytest.approx(whole.length, rel=1e-5)
    assert any(probe.bag.unknown > 0 for probe in probes)


def test_a_wording_that_stands_alone_is_asked_with_words_exchanged():
    questions = pairs([SOME[3], SOME[5]])
    bags = made(questions)
    probes = make_probes(hold_out(questions), bags, word_dropout=0.5)
    assert len(probes) == 16
    assert all(probe.altered for probe in probes)
    for probe in probes:
        whole = bags.vocabulary.bag(questions[probe.pair].wordings[0])
        assert set(probe.bag.ids) <= set(whole.ids)
        assert probe.bag.length == pytest.approx(whole.length, rel=1e-5)
    assert len({probe.bag.unknown for probe in probes}) > 3
    assert len(make_probes(hold_out(questions), bags, at_most=5)) <= 5
    assert len(make_probes(hold_out(questions), bags, at_most=1)) == 1


def test_probabilities_and_confidence():
    confidence = Confidence(scale=4.0, nothing=0.3, threshold=0.5)
    weights = np.exp(4.0 * np.array([0.9, 0.1, 0.3]))
    assert confidence.probabilities(np.array([0.9, 0.1])) == pytest.approx(weights[:2] / weights.sum())
    assert confidence.confidence(0.3) == 0.5
    assert confidence.confidence(0.9) == pytest.approx(weights[0] / (weights[0] + weights[2]))
    extreme = Confidence(scale=200.0, nothing=50.0, threshold=0.5)
    assert extreme.confidence(-1.0) == pytest.approx(0.0, abs=1e-300)
    assert np.isfinite(extreme.probabilities(np.array([1.0, -1.0]))).all()


def test_the_threshold_keeps_the_share_that_was_asked_for():
    questions = _many(60)
    held = hold_out(questions, 0.5)
    bags = made(questions)
    kept = PairBags(held.kept, bags.vocabulary)
    probes = make_probes(held, kept)
    index = KeyIndex(begin_retriever(kept, size=8), kept.keys())
    best = [float(index.scores(probe.bag).max()) for probe in probes]
    thresholds = []
    for keep in (0.5, 0.8, 0.95):
        confidence = calibrate(probes, index, keep=keep)
        share = np.mean([confidence.confidence(score) >= confidence.threshold for score in best])
        assert share == pytest.approx(keep, abs=0.03)
        thresholds.append(confidence.threshold)
    assert thresholds == sorted(thresholds, reverse=True)


def test_an_altered_probe_that_lost_its_pair_does_not_lower_the_threshold():
    questions = _many(20)
    bags = made(questions)
    index = KeyIndex(begin_retriever(bags, size=8), bags.keys())
    own = [bags.vocabulary.bag(each.wordings[0])._replace(unknown=5.0 * n) for n, each in enumerate(questions)]
    lost = [bags.vocabulary.bag(questions[19 - n].wordings[0])._replace(unknown=900.0) for n in range(20)]
    found = [Probe(pair, bag, altered=True) for pair, bag in enumerate(own)]
    both = found + [Probe(pair, bag, altered=True) for pair, bag in enumerate(lost)]
    best = [float(index.scores(probe.bag).max()) for probe in found]
    for probes in (found, both):
        confidence = calibrate(probes, index, keep=0.9)
        assert confidence.threshold == pytest.approx(confidence.confidence(float(np.quantile(best, 0.1))))
    held = [probe._replace(altered=False) for probe in both]
    confidence = calibrate(held, index, keep=0.9)
    assert confidence.threshold < confidence.confidence(float(np.quantile(best, 0.0)))


def test_strength_and_score_of_nothing_are_the_likeliest():
    questions = _many(40)
    held = hold_out(questions, 0.5)
    kept = PairBags(held.kept, learn_vocabulary(questions))
    probes = make_probes(held, kept)
    index = KeyIndex(begin_retriever(kept, size=8), kept.keys())
    found = calibrate(probes, index)

    def nats(scale, nothing):
        total = (math.log(scale / 20.0) / 0.5) ** 2 / 2
        for probe in probes:
            scores = scale * index.scores(probe.bag)
            others = np.logaddexp.reduce([scale * nothing, *np.delete(scores, probe.pair)])
            total += np.logaddexp(others, scores[probe.pair]) - scores[probe.pair] + others - scale * nothing
        return total

    least = nats(found.scale, found.nothing)
    for factor, shift in ((1.1, 0), (0.9, 0), (1, 0.02), (1, -0.02)):
        assert nats(found.scale * factor, found.nothing + shift) > least


def test_without_probes_nothing_can_be_calibrated():
    bags = made(pairs())
    with pytest.raises(DataError, match="threshold"):
        calibrate([], KeyIndex(begin_retriever(bags), bags.keys()))


def _many(count: int) -> list[Question]:
    """Pairs about invented things, in wordings that share some words."""
    generator = np.random.default_rng(7)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = ["".join(generator.choice(letters, 6)) for _ in range(3 * count)]
    common = ["how", "do", "i", "the", "is", "where", "what", "find"]

    def wording(thing: int) -> str:
        own = generator.choice(words[3 * thing : 3 * thing + 3], generator.integers(1, 4), replace=False)
        return " ".join(generator.permutation([*own, *generator.choice(common, 3)]))

    return [Question(f"{n}", [wording(n) for _ in range(4)], [f"{words[3 * n]} it is."]) for n in range(count)]


# ---- rankings


def test_every_wording_finds_its_pair_surely():
    finder = matcher()
    for pair, (wordings, _) in enumerate(SOME):
        for wording in wordings:
            for asked in (wording, wording.upper(), f"  {wording} ", wording.rstrip("?") + " !"):
                ranking = finder.rank(asked)
                assert ranking.matches[0].pair == pair
                assert ranking.exact
                assert ranking.known
                assert ranking.confidence == 1.0
                assert ranking.matches[0].score == 1.0


def test_paraphrases_and_misspellings_find_their_pair():
    finder = matcher()
    for asked, pair in (
        ("my pasword is forgotten", 0),
        ("librarry?", 1),
        ("on which day is your shop opened", 2),
        ("purring of a cat", 3),
        ("what do neuronal netwroks do", 4),
        ("ninety metres", 5),
    ):
        ranking = finder.rank(asked)
        assert ranking.matches[0].pair == pair, asked
        assert not ranking.exact


def test_a_ranking_is_sorted_and_its_shares_add_up_with_that_of_no_pair():
    finder = matcher()
    ranking = finder.rank("open the library", top=99)
    assert len(ranking.matches) == len(SOME)
    scores = [match.score for match in ranking.matches]
    assert scores == sorted(scores, reverse=True)
    nothing = 1 - sum(match.probability for match in ranking.matches)
    weights = np.exp(20.0 * np.array([*scores, 0.4]))
    assert nothing == pytest.approx(weights[-1] / weights.sum())
    assert finder.rank("open the library", top=2).matches == ranking.matches[:2]


def test_foreign_questions_are_not_known_and_the_threshold_can_be_set():
    finder = matcher(threshold=0.2)
    for asked in FAR:
        ranking = finder.rank(asked)
        assert not ranking.known, asked
        assert ranking.confidence < 0.2
        assert finder.rank(asked, threshold=0.0).known
        assert not ranking.cut
    near = finder.rank("the tower")
    assert near.known
    assert not finder.rank("the tower", threshold=near.confidence + 1e-6).known


def test_marks_tell_wordings_apart_where_they_are_all_there_is():
    questions = pairs([(["Thank you"], ["One."]), (["Thank you."], ["Two."]), (["Is C++ old?"], ["Yes."])])
    finder = matcher([*questions, Question("", ["Is C old?"], ["Very."])])
    assert [finder.rank(text).matches[0].pair for text in ("thank you", "thank you.", "is c++ old", "is c old")] == [
        *(0, 1, 2, 3)
    ]
    both = finder.rank("thank you!")
    assert both.exact
    assert [match.pair for match in both.matches[:2]] == [0, 1]


def test_a_question_of_a_million_characters_is_cut():
    finder = matcher()
    for text in ("how do I reset " * 70_000, "x" * 1_000_000, "\n" * 1_000_000):
        assert finder.rank(text).cut
    assert finder.rank("reset my password " * 70_000).matches[0].pair == 0
    assert not finder.rank("x" * LONGEST_TEXT).cut


def test_a_question_repeated_a_thousand_times_keeps_all_its_answers(tmp_path):
    rows = "".join(f"How old are you?\tanswer {n}\n" for n in range(1_000)) + "Where are you?\tHere.\n"
    (tmp_path / "pairs.tsv").write_text("question\tanswer\n" + rows)
    each = list(read_questions(tmp_path / "pairs.tsv"))
    finder = matcher(merge_questions(each))
    ranking = finder.rank("how old you are")
    assert len(finder.questions[ranking.matches[0].pair].answers) == 1_000
    unmerged = matcher(each)
    assert unmerged.rank("how old are you").exact
    bags = PairBags(each, unmerged.vocabulary)
    batch = next(LookupSource(each, bags, candidates=70).epoch(0))
    assert unmerged.model.loss(batch).total.isfinite()


def test_more_pairs_are_found_at_once_and_the_old_ones_still():
    finder = matcher()
    new = [
        Question("new:1", ["Which zebra is fastest?"], ["Grevy's."]),
        Question("new:2", ["Do dogs bark?"], ["Some."]),
    ]
    more = finder.extended(new)
    assert more.rank("fastest zebra").matches[0].pair == len(SOME)
    assert more.rank("do all dogs bark").matches[0].pair == len(SOME) + 1
    assert all(
        more.rank(wording).matches[0].pair == pair for pair, (wordings, _) in enumerate(SOME) for wording in wordings
    )
    assert more.rank("zebra").matches[0].score > 0.2 > finder.rank("zebra").matches[0].score
    assert len(finder.questions) == len(SOME)
    assert finder.rank("fastest zebra").matches[0].score < more.rank("fastest zebra").matches[0].score


def test_what_is_saved_ranks_the_same(tmp_path):
    finder = matcher(threshold=0.31)
    finder.save(tmp_path)
    weights = finder.model.state_dict()
    model = Retriever(len(finder.vocabulary), 5)
    model.load_state_dict(weights)
    loaded = Matcher.load(tmp_path, pairs(), model)
    for asked in ("library open", "cats", *FAR):
        assert loaded.rank(asked) == finder.rank(asked)
    assert loaded.answer_weight == finder.answer_weight


def test_a_damaged_folder_is_refused(tmp_path):
    finder = matcher()
    finder.save(tmp_path)
    with pytest.raises(ModelFolderError, match="entries for a network"):
        Matcher.load(tmp_path, pairs(), Retriever(3, 5))
    path = tmp_path / "matching.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "more": 1}))
    with pytest.raises(ModelFolderError, match="damaged"):
        Matcher.load(tmp_path, pairs(), finder.model)
    path.unlink()
    with pytest.raises(ModelFolderError, match="missing"):
        Matcher.load(tmp_path, pairs(), finder.model)


def test_without_pairs_there_is_nothing_to_answer_from():
    with pytest.raises(DataError, match="no pairs"):
        matcher([], weight=1.0)


# ---- real data


def _stackfaq(path: Path, wordings: int) -> tuple[list[Question], list[tuple[int, str]]]:
    asked, held = [], []
    for pair, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        record = json.loads(line)
        texts = [record["question"], *record["paraphrases"]]
        asked.append(Question(str(pair), texts[:wordings], record["answers"]))
        held += [(pair, text) for text in texts[wordings:]]
    return asked, held


@pytest.mark.learn
@pytest.mark.slow
def test_paraphrases_of_real_questions_are_found(data, tmp_path):
    questions, asked = _stackfaq(data("stackfaq/stackfaq.jsonl"), wordings=1)
    bags = made(questions)
    bags.answer_weight = answer_weight(bags)
    model = begin_retriever(bags)
    settings = TrainingSettings(
        epochs=15, learning_rate=0.01, weight_decay=0.0, schedule="linear", device="cpu", seed=1
    )
    fit(model, LookupSource(questions, bags, seed=1), settings, folder=tmp_path)
    held = hold_out(questions)
    confidence = calibrate(make_probes(held, bags), KeyIndex(model.eval(), bags.keys()))
    finder = Matcher(questions, bags.vocabulary, model, confidence, answer_weight=bags.answer_weight)
    rankings = [(pair, finder.rank(text)) for pair, text in asked]
    assert np.mean([ranking.matches[0].pair == pair for pair, ranking in rankings]) > 0.79  # 0.717 by tf–idf
    assert np.mean([ranking.known for _, ranking in rankings]) > 0.8
    foreign = [line.split("\t")[0] for line in data("chatterbot_en/pairs.tsv").read_text().splitlines()[1:]]
    assert np.mean([not finder.rank(text).known for text in dict.fromkeys(foreign)]) > 0.9
