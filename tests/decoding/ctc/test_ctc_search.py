import math

import numpy as np
import pytest
import torch
from brute_force import all_outputs, best_paths, output_of, random_log_probabilities

from unspool.decoding.ctc import (
    CharacterFusion,
    WordFusion,
    align,
    collapse,
    forward_score,
    greedy,
    prefix_beam_search,
)
from unspool.decoding.ngrams import NgramModel, units_of
from unspool.errors import SettingError, ShapeError


@pytest.mark.parametrize(
    ("path", "output"),
    [([], []), ([0, 0], []), ([1, 1, 1], [1]), ([1, 0, 1], [1, 1]), ([2, 2, 0, 0, 2, 1, 1], [2, 2, 1])],
)
def test_collapsing(path, output):
    assert collapse(path) == output


def test_collapsing_with_another_blank():
    assert collapse([3, 0, 0, 3, 0], blank=3) == [0, 0]


@pytest.mark.parametrize(("frames", "units", "blank", "seed"), [(5, 3, 0, 1), (4, 4, 2, 2), (6, 2, 0, 3), (1, 3, 0, 4)])
def test_forward_scores_of_all_outputs_agree_with_the_sum_over_paths(frames, units, blank, seed):
    matrix = random_log_probabilities(frames, units, seed)
    outputs = all_outputs(matrix, blank)
    for output, nats in outputs.items():
        assert forward_score(matrix, output, blank=blank) == pytest.approx(nats, abs=1e-9)
    assert math.fsum(map(math.exp, outputs.values())) == pytest.approx(1)


def test_an_output_longer_than_the_frames_has_no_probability():
    matrix = random_log_probabilities(3, 3, 5)
    assert forward_score(matrix, [1, 1, 2]) == -math.inf
    assert forward_score(matrix[:0], []) == 0
    with pytest.raises(ShapeError, match="3 units needs at least 4"):
        align(matrix, [1, 1, 2])


@pytest.mark.parametrize("seed", range(4))
def test_alignment_is_the_best_path(seed):
    matrix = random_log_probabilities(6, 3, seed)
    for output, (nats, path) in best_paths(matrix).items():
        spans = align(matrix, output)
        mine = [0] * 6
        for unit, (begin, end) in zip(output, spans, strict=True):
            mine[begin:end] = [unit] * (end - begin)
        assert output_of(mine) == output
        assert sum(matrix[frame, unit] for frame, unit in enumerate(mine)) == pytest.approx(nats), path


@pytest.mark.parametrize("seed", range(3))
def test_greedy_is_the_output_of_the_most_probable_path(seed):
    matrix = random_log_probabilities(5, 4, seed)
    output, nats = greedy(matrix)
    best, (expected, _) = max(best_paths(matrix).items(), key=lambda item: item[1][0])
    assert (tuple(output), nats) == (best, pytest.approx(expected))


@pytest.mark.parametrize(("frames", "units", "blank", "seed"), [(5, 3, 0, 1), (4, 4, 2, 2), (6, 3, 1, 3), (7, 2, 0, 4)])
def test_a_wide_prefix_beam_is_exact(frames, units, blank, seed):
    matrix = random_log_probabilities(frames, units, seed)
    expected = all_outputs(matrix, blank)
    found = prefix_beam_search(matrix, beam=10_000, best=10_000, blank=blank, prune=None)
    assert {tuple(each.ids): each.log_probability for each in found} == pytest.approx(expected)
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)
    assert all(each.spans == align(matrix, each.ids, blank=blank) for each in found)


def test_the_best_output_may_differ_from_the_best_path():
    # Graves 2006, figure 2: the blank path wins every frame, the sum over paths prefers the unit.
    matrix = np.log(np.array([[0.6, 0.4], [0.6, 0.4]]))
    assert greedy(matrix)[0] == []
    assert prefix_beam_search(matrix, beam=4)[0].ids == [1]


def test_a_narrow_beam_merges_a_prefix_that_was_dropped_and_comes_again():
    matrix = random_log_probabilities(30, 6, 7, sharpness=3)
    narrow = prefix_beam_search(matrix, beam=8, best=8, prune=None)
    wide = prefix_beam_search(matrix, beam=300, best=1, prune=None)[0]
    assert len({tuple(each.ids) for each in narrow}) == len(narrow)
    assert narrow[0].ids == wide.ids
    for each in narrow:
        assert each.log_probability <= forward_score(matrix, each.ids) + 1e-9


def test_pruned_units_cost_little():
    matrix = random_log_probabilities(40, 9, 8, sharpness=6)
    exact, pruned = (prefix_beam_search(matrix, beam=50, prune=prune)[0] for prune in (None, 12.0))
    assert exact.ids == pruned.ids
    assert pruned.log_probability == pytest.approx(exact.log_probability, abs=1e-2)


def test_bad_arguments():
    with pytest.raises(SettingError, match="beam = 0"):
        prefix_beam_search(np.zeros((2, 3)), beam=0)
    with pytest.raises(ShapeError, match=r"\(4,\); expected \(frames, units\)"):
        greedy(np.zeros(4))
    with pytest.raises(ShapeError, match="with unit 3, the blank"):
        prefix_beam_search(np.zeros((2, 3)), blank=3)


TEXTS = ["", "a", "b", " "]  # the blank, two letters and the white space
SENTENCES = ["ab ba", "a a", "b ab a", "ab ab ba", "a", "ba a b"]


def language_model_score(model, text, by, weight, bonus, unknown=0.0):
    """The definition of the fused score, over the whole text."""
    units = units_of(text, by) if by == "word" else list(text.replace(" ", "_"))
    units = [unit.replace("_", "<space>") for unit in units]
    strange = sum(unit not in model for unit in units)
    return weight * model.log_probability(units) + bonus * len(units) + unknown * strange


@pytest.mark.parametrize("by", ["word", "character"])
@pytest.mark.parametrize(("weight", "bonus"), [(0.0, 0.0), (0.7, 0.0), (1.3, 1.1), (0.4, -0.8)])
def test_fusion_agrees_with_scoring_every_output(by, weight, bonus):
    model = NgramModel.learn([units_of(each, by) for each in SENTENCES], order=3)
    matrix = random_log_probabilities(5, 4, 11)
    unknown = -2.5 if by == "word" else 0.0
    fusion = WordFusion(model, TEXTS, weight, bonus, unknown) if by == "word" else CharacterFusion(
        model, TEXTS, weight, bonus)  # fmt: skip
    found = prefix_beam_search(matrix, beam=10_000, best=10_000, fusion=fusion, prune=None)
    expected = {
        output: nats + language_model_score(model, "".join(TEXTS[u] for u in output), by, weight, bonus, unknown)
        for output, nats in all_outputs(matrix).items()
    }
    assert {tuple(each.ids): each.score for each in found} == pytest.approx(expected)
    assert found[0].score == max(each.score for each in found)


def test_a_language_model_changes_what_is_heard():
    frames = np.full((9, 4), 0.02)
    for frame, unit in enumerate([1, 0, 2, 0, 3, 0, 1, 0, 2]):
        frames[frame, unit] = 0.5
    frames[0] = [0.02, 0.45, 0.51, 0.02]  # the first letter is nearly a coin toss
    matrix = np.log(frames / frames.sum(1, keepdims=True))
    model = NgramModel.learn([["ab", "ab"]] * 5, order=2)
    text = ["".join(TEXTS[unit] for unit in prefix_beam_search(matrix, beam=50, fusion=fusion)[0].ids)
            for fusion in (None, WordFusion(model, TEXTS, 1.0))]  # fmt: skip
    assert text == ["bb ab", "ab ab"]


def test_the_loss_of_torch_and_its_gradient_agree_with_the_sum_over_paths():
    logits = torch.randn(5, 2, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(3)).requires_grad_()
    targets, frames = [[2, 2], [1]], [5, 3]

    def brute(logits):
        total = 0.0
        for column, (target, length) in enumerate(zip(targets, frames, strict=True)):
            nats = logits[:length, column].log_softmax(-1)
            paths = [
                torch.stack([nats[frame, unit] for frame, unit in enumerate(path)]).sum()
                for path in np.ndindex(*([4] * length))
                if output_of(path) == tuple(target)
            ]
            total = total - torch.logsumexp(torch.stack(paths), 0)
        return total

    ours = torch.nn.functional.ctc_loss(
        logits.log_softmax(-1), torch.tensor([2, 2, 1]), torch.tensor(frames), torch.tensor([2, 1]), reduction="sum"
    )
    expected = brute(logits)
    torch.testing.assert_close(ours, expected)
    gradients = [torch.autograd.grad(loss, logits)[0] for loss in (ours, expected)]
    torch.testing.assert_close(*gradients)
    nats = logits.detach().log_softmax(-1).numpy()
    ours = forward_score(nats[:, 0], [2, 2]) + forward_score(nats[:3, 1], [1])
    assert ours == pytest.approx(-expected.item())
