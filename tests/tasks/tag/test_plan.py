"""Rules of a tagger's plan that depend on the data."""

import pytest

from unspool import Tagger
from unspool.tasks.running import planning


@pytest.mark.parametrize(("types", "output"), [(20, "auto"), (30, "softmax")])
def test_many_types_of_spans_get_no_crf(types, output):
    sentences = [["to", f"w{number}", "now"] for number in range(types)]
    tags = [["O", f"B-t{number}", "O"] for number in range(types)]
    task = Tagger(epochs=1)
    planning.plan_data(task, task._read(task._data_source(sentences, tags)))
    assert task.settings.network.output == output
    own = Tagger(epochs=1, output="crf")
    planning.plan_data(own, own._read(own._data_source(sentences, tags)))
    assert own.settings.network.output == "crf"


@pytest.mark.parametrize(("count", "batch"), [(30, 16), (1200, 32), (3000, 64)])
def test_few_sentences_get_small_batches(count, batch):
    task = Tagger(epochs=1)
    planning.plan_data(task, task._read(task._data_source([["a", "b"]] * count, [["X", "Y"]] * count)))
    assert task.settings.training.batch_size == batch
