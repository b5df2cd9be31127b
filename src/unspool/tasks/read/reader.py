"""`Reader`, the task of question answering over stories with memory networks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Unpack, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unspool.data import (
    IGNORED,
    UNKNOWN,
    DataSource,
    Labels,
    Paths,
    Story,
    StoryBatches,
    Unlabelled,
    read_stories,
    read_unlabelled,
    story_words,
)
from unspool.data import Reader as DataReader
from unspool.errors import DataError, counted, option
from unspool.inspection import Trace
from unspool.inspection.edits import Edits
from unspool.layers import Recurrent, initialize
from unspool.models import DynamicMemoryNetwork, KeyValueMemoryNetwork, MemoryNetwork, MemoryOutput
from unspool.settings import Settings
from unspool.tasks.parts.editing import EditableAttention, Parts
from unspool.tasks.parts.finite import check_output
from unspool.tasks.parts.representation import brief
from unspool.tasks.read.data import Stories, file_of, open_data
from unspool.tasks.read.fitted import FittedReader
from unspool.tasks.read.settings import ReaderSettings
from unspool.tasks.task import Task
from unspool.tasks.trainable import device_of

if TYPE_CHECKING:
    from unspool.tasks.read.keywords import ReaderKeywords

__all__ = ["Answered", "Reader"]

_AT_ONCE = 256  # batch size of inference, in stories
_SENTENCE = re.compile(r"[^.?!\n]+[.?!]*")
_FAILED = 0.05  # error above which a bAbI task fails; Weston et al. 2015, arXiv:1502.05698, section 5


class Answered(NamedTuple):
    """Prediction of a reader for one question."""

    question: str
    answer: str
    probability: float
    others: dict[str, float]
    """Most probable answers with their probabilities; the predicted answer comes first."""
    sentences: list[str]
    """Sentences in memory, oldest first; limited to the newest `slots` sentences."""
    hops: list[list[float]]
    """Attention weight of each hop on each sentence."""
    gates: tuple[float, ...] = ()
    """Gate of each hop, mean over units, from 0 (the question vector only) to 1 (the result of the hop only); empty
    for a network without gates."""

    def __repr__(self) -> str:
        return f"<Answered {self.answer!r} ({self.probability:.3f}): {brief(self.question)}>"

    def line(self) -> str:
        """Format answer, probability and question, separated by tabs."""
        return f"{self.answer}\t{self.probability:.4f}\t{self.question}"

    def record(self) -> dict[str, Any]:
        """Return all fields."""
        return {**self._asdict(), "gates": list(self.gates)}

    def read_most(self) -> list[str]:
        """Return the sentence with the largest attention weight in each hop."""
        return [self.sentences[int(np.argmax(weights))] for weights in self.hops]


class Reader(Task[Stories, FittedReader]):
    """Reader: answers questions about a story.

    Example:
        >>> from unspool import Reader
        >>> model = Reader(hops=3).fit("qa1_single-supporting-fact_train.txt")  # doctest: +SKIP
        >>> model.ask(["Mary went home.", "John left."], "Where is Mary?").answer  # doctest: +SKIP
        'home'
    """

    name: ClassVar[str] = "read"
    settings_type: ClassVar[type[Settings]] = ReaderSettings
    fitted_type: ClassVar[type[FittedReader]] = FittedReader
    summary: ClassVar[str] = "Reads a story and answers questions about it."

    def __init__(self, settings: ReaderSettings | None = None, **values: Unpack[ReaderKeywords]) -> None:
        super().__init__(settings, **values)

    @property
    def answers(self) -> Labels:
        """Answers of the model, with their counts in training.

        Raises:
            UsageError: If the model has not been trained.
        """
        return self.fitted.answers

    @property
    def metric(self) -> tuple[str, bool]:
        return "accuracy", True

    # ---- data --------------------------------------------------------------------------------------------------

    def _columns_in_memory(self) -> tuple[str, ...]:
        return "story", "question", "answer"

    def _read(self, source: DataSource) -> Stories:
        reader = open_data(self.settings, source)
        examples = Stories(list(reader))
        self._remember(reader)
        return examples

    # ---- network, batches --------------------------------------------------------------------------------------

    def _build(self) -> nn.Module:
        network, fitted = self.settings.network, self.fitted
        encoder = self._cell if network.encoder == "cell" else network.encoder
        vocabulary, size = len(fitted.vocabulary), network.embedding
        shared: dict[str, Any] = {"hops": network.hops, "encoder": encoder}
        answers = torch.tensor(fitted.vocabulary.encode_words(fitted.answers), dtype=torch.long)
        model: nn.Module
        if network.network == "dynamic":
            model = DynamicMemoryNetwork(
                vocabulary, size, len(answers), fusion=self._cell, dropout=network.dropout, **shared
            )
        elif network.network == "key-value":
            model = KeyValueMemoryNetwork(vocabulary, size, answers, slots=network.slots, **shared)
        else:
            model = MemoryNetwork(
                vocabulary,
                size,
                answers,
                slots=network.slots,
                tying=network.tying,
                time_noise=network.time_noise,
                linear_examples=network.linear_epochs * fitted.examples,
                gated=network.gated,
                **shared,
            )
        initialize(model)
        return model

    def _source(self, examples: Stories) -> StoryBatches:
        training, encoded = self.settings.training, self.fitted.encode(examples.stories)
        source = StoryBatches(encoded, batch_size=training.batch_size, seed=training.seed)
        if encoded.dropped:
            slots = self.settings.network.slots
            longer = f"{counted(encoded.dropped, 'stories')} with more than {slots} sentences"
            source.note = f"{longer}: the oldest sentences are not read ({option('slots', None)})"
        return source

    # ---- scores ------------------------------------------------------------------------------------------------

    def _score(self, model: nn.Module, examples: Stories) -> dict[str, float]:
        right, nats = self._answered(model, examples.stories)
        return {"accuracy": float(right.mean()), "nats": nats}

    def _final_score(self, model: nn.Module, examples: Stories) -> dict[str, float]:
        """Score accuracy; for several files also the error of each, the mean error, and the number above 5 %."""
        right, nats = self._answered(model, examples.stories)
        scores = {"accuracy": float(right.mean()), "error": 1 - float(right.mean()), "nats": nats}
        files = [file_of(story) for story in examples.stories]
        names = list(dict.fromkeys(files))
        if len(names) > 1:
            errors = {name: 1 - float(right[np.array([file == name for file in files])].mean()) for name in names}
            scores["mean_error"] = float(np.mean(list(errors.values())))
            scores["failed"] = float(sum(error > _FAILED + 1e-9 for error in errors.values()))
            scores |= {f"error, {Path(name).name}": error for name, error in errors.items()}
        return scores

    @torch.no_grad()
    def _answered(self, model: nn.Module, stories: Sequence[Story]) -> tuple[NDArray[np.bool_], float]:
        """Return a mask of the correct answers, and the mean negative log-likelihood of the targets in nats."""
        examples, device = self.fitted.encode(stories), device_of(model)
        right, nats, count = [], 0.0, 0
        for begin in range(0, len(examples), _AT_ONCE):
            batch = examples.batch(np.arange(begin, min(begin + _AT_ONCE, len(examples)))).to(device)
            logits = model(batch).logits.float()
            right.append((logits.argmax(-1) == batch.answers).cpu())
            mask = batch.answers != IGNORED
            log_likelihood = logits.log_softmax(-1)[mask].gather(1, batch.answers[mask].unsqueeze(1))
            nats, count = nats - float(log_likelihood.sum()), count + int(mask.sum())
        return torch.cat(right).numpy(), nats / max(1, count)

    def _baselines(self, train: Stories, held_out: Stories) -> dict[str, dict[str, float]]:
        """Score two baselines: the most frequent answer per file, and the last word in the story that is an answer."""
        of_file: dict[str, Counter[str]] = {}
        for story in train.stories:
            of_file.setdefault(file_of(story), Counter())[str(story.answer)] += 1
        everywhere: Counter[str] = sum(of_file.values(), Counter())
        usual = {name: counts.most_common(1)[0][0] for name, counts in of_file.items()}
        most = everywhere.most_common(1)[0][0]
        frequent = [usual.get(file_of(story), most) == story.answer for story in held_out.stories]
        last = [_last_named(story, everywhere, most) == story.answer for story in held_out.stories]
        return {
            "most frequent answer": {"accuracy": float(np.mean(frequent))},
            "answer named last": {"accuracy": float(np.mean(last))},
        }

    # ---- use ---------------------------------------------------------------------------------------------------

    def read_inputs(self, paths: Paths, *, format: str | None = None) -> DataReader[Unlabelled]:
        """Open stories with questions for reading: one per line, or one story and question per row."""
        return read_unlabelled(paths, format=format, columns=("story", "question"), usual=("text",))

    def ask(self, sentences: Sequence[str], question: str) -> Answered:
        """Answer a question about sentences.

        Args:
            sentences: The story, oldest sentence first.
            question: The question.

        Raises:
            DataError: If there is no sentence, a sentence has no word, or all words of the question are unknown.
            UsageError: If the model has not been trained.
        """
        return self._answers([Story(tuple(sentences), question, where="question")])[0]

    @overload
    def predict(self, texts: str) -> Answered: ...  # type: ignore[overload-overlap] # one str is one text
    @overload
    def predict(self, texts: Iterable[str]) -> list[Answered]: ...
    def predict(self, texts: str | Iterable[str]) -> Answered | list[Answered]:
        """Answer one question, or each of several; the last sentence of each text is the question.

        Raises:
            DataError: As in `ask`, with the number of the text.
            UsageError: If the model has not been trained.
        """
        return self._for_each(
            texts,
            lambda listed: self._answers([_typed(text, f"text {number}") for number, text in enumerate(listed, 1)]),
        )

    def _answers(self, stories: list[Story]) -> list[Answered]:
        self._need_model()
        return [self._answer(story, self._looked_up(story)) for story in stories]

    @torch.no_grad()
    def _looked_up(self, story: Story) -> MemoryOutput:
        if not story.sentences:
            raise DataError(
                f"{story.question!r} has no sentence before it; expected a story and then a question", story.where
            )
        words = story_words(story.question)
        if words and all(id == UNKNOWN for id in self.fitted.vocabulary.encode_words(words)):
            raise DataError(
                f"no word of the question {story.question!r} was seen in training; ask in other words", story.where
            )
        batch = self.fitted.encode([story]).batch(np.arange(1)).to(device_of(self.model))
        output: MemoryOutput = self.model(batch)
        check_output(output.logits, story.where)
        return output

    def _answer(self, story: Story, output: MemoryOutput) -> Answered:
        probabilities = output.logits[0].float().softmax(-1).cpu()
        best = probabilities.topk(min(5, len(self.answers)))
        others = {self.answers.name(int(i)): float(p) for p, i in zip(best.values, best.indices, strict=True)}
        answer = next(iter(others))
        memory = list(story.sentences[-self.settings.network.slots :])
        hops: Tensor = output.weights[:, :, 0].float().cpu()
        gates = () if output.gates is None else tuple(output.gates[:, 0].float().mean(-1).tolist())
        return Answered(story.question, answer, others[answer], others, memory, hops.tolist(), gates)

    def trace(self, text: str, edits: Edits = ()) -> Trace:
        """Answer one question and return the attention of each hop, and the recorded values of a cell over sentences.

        The prediction also holds the gates of a gated network.

        Args:
            text: A story whose last sentence is the question, or `FILE:LINE` of a question in a file. For a question
                in a file, the trace also marks the supporting sentences.
            edits: Changes of the cell over sentences, of a hop's attention (`hops / hop 1[3] = zero`), or of a
                sentence, during the run.

        Raises:
            DataError: As in `ask`, or if there is no question at that line.
            UsageError: If `text` is not a single text, an edit does not fit, or the model has not been trained.
        """
        self._need_model()
        self._one_text(text)
        if edits:
            return self._edited_trace(text, edits)
        story = self._at_line(text) or _typed(text, "text")
        output, arrays, path = self._recorded(lambda: self._looked_up(story))
        result = self._answer(story, output)
        arrays |= {f"hops / hop {k + 1}": np.array(weights, np.float32) for k, weights in enumerate(result.hops)}
        dropped = len(story.sentences) - len(result.sentences)
        if story.supports:
            inside = [place - dropped for place in story.supports if place >= dropped]
            arrays["hops / support"] = np.isin(np.arange(len(result.sentences)), inside).astype(np.float32)
        prediction: dict[str, Any] = {"label": result.answer, "question": story.question}
        prediction["probabilities"] = result.others
        if result.gates:
            prediction["gates"] = {f"hop {k + 1}": round(gate, 4) for k, gate in enumerate(result.gates)}
        if story.answer is not None:
            prediction["right"] = story.answer
        notes = [f"question: {story.question}", *path]
        if dropped:
            notes.append(f"the {dropped} oldest sentences are not read: the network has {len(result.sentences)} slots")
        return Trace(tuple(result.sentences), arrays, prediction, self._summary(), tuple(notes))

    def _at_line(self, text: str) -> Story | None:
        file, colon, number = text.rpartition(":")
        if not colon or not number.isdecimal() or not Path(file).is_file():
            return None
        match = next((story for story in read_stories(file, skip_bad=True) if story.where == text), None)
        if match is None:
            raise DataError("there is no question at this line", text)
        return match

    def _summary(self) -> str:
        network = self.settings.network
        kinds = {
            "memory": f"memory network, {network.tying}{', gated' if network.gated else ''}",
            "key-value": "key-value memory network",
            "dynamic": f"dynamic memory network of {network.cell}",
        }
        encoder = network.cell if network.encoder == "cell" else network.encoder
        hops = f"{counted(network.hops, 'hops')} of {network.embedding} over {network.slots} slots"
        return f"{kinds[network.network]}, {hops}, sentences by {encoder}"

    def _parts(self) -> Parts:
        parts = super()._parts()
        hops = [
            EditableAttention("hops", f"hop {number}", look, looker="the question")
            for number, look in enumerate(self.model.looks, start=1)
        ]
        return parts._replace(attentions=[*parts.attentions, *hops])

    def _stack(self) -> Recurrent | None:
        """The recurrent layer over the sentences; None for other networks."""
        stack: Recurrent | None = getattr(self.model, "fusion", None)
        return stack


def _typed(text: str, where: str) -> Story:
    """Parse a story from one line; the last sentence is the question."""
    sentences = [part.strip() for part in _SENTENCE.findall(text) if story_words(part)]
    if len(sentences) < 2:
        raise DataError("expected a story of at least one sentence, and then a question, separated by . ? or !", where)
    return Story(tuple(sentences[:-1]), sentences[-1], where=where)


def _last_named(story: Story, answers: Counter[str], otherwise: str) -> str:
    words = [word for text in story.sentences for word in story_words(text) if word in answers]
    return words[-1] if words else otherwise
