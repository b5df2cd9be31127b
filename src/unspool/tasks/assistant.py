"""Questions and answers in, something to talk to out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self, cast

import msgspec
import numpy as np
import torch
from torch import nn

from unspool.cells import Cell
from unspool.data import (
    LONGEST_TEXT,
    UNKNOWN,
    Interleaved,
    NgramVocabulary,
    PairedExamples,
    Question,
    Sequences,
    Tokens,
    Vocabulary,
    evaluation_batches,
    merge_questions,
    read_questions,
)
from unspool.decoding import decode
from unspool.errors import DataError, ModelFolderError, UsageError
from unspool.inspection import Trace
from unspool.models import AssistantModel, Retriever
from unspool.reading import read_json
from unspool.settings import Settings
from unspool.tasks.base import Paths, Task, batched_tokens, device_of
from unspool.tasks.encoder_decoders import build_encoder_decoder, most_written, never_written, pair_perplexity
from unspool.tasks.encoding import bucketed, learned_vocabulary
from unspool.tasks.finite import check_output
from unspool.tasks.looking import trace_of_pair
from unspool.tasks.matching import (
    Confidence,
    HeldOut,
    KeyIndex,
    LookupSource,
    Matcher,
    PairBags,
    Ranking,
    answer_weight,
    begin_retriever,
    calibrate,
    hold_out,
    learn_vocabulary,
    make_probes,
)
from unspool.tasks.settings import AssistantSettings
from unspool.training import BatchSource
from unspool.writing import replace_file

__all__ = ["Assistant", "Reply", "Source"]

_LONGEST = 256  # units of a question that the generator reads
_SHOWN = 5  # pairs that a reply names


class Source(NamedTuple):
    """A pair that an answer may have come from."""

    question: str
    answer: str
    share: float
    """How likely it is the right one, all other pairs and "none of them" considered, between 0 and 1."""


class Reply(NamedTuple):
    """What an assistant says to one question."""

    question: str
    answer: str
    """What it says: an answer from its pairs, or that it does not know."""
    confidence: float
    """How sure it is that the question belongs to its first source, between 0 and 1."""
    known: bool
    """Whether that reached the threshold."""
    threshold: float
    answers: list[str]
    """Every answer that its first source has."""
    sources: list[Source]
    """The likeliest pairs, likeliest first; also where it does not know."""

    def line(self) -> str:
        """The answer."""
        return self.answer

    def record(self) -> dict[str, Any]:
        """All fields."""
        return {**self._asdict(), "sources": [source._asdict() for source in self.sources]}

    def source_line(self) -> str:
        """How sure it is, and from where, in one line."""
        nearest = self.sources[0].question
        if self.known:
            return f"{self.confidence:.0%} sure, from: {nearest}"
        return f"{self.confidence:.0%} sure, below {self.threshold:.0%}; the nearest it knows: {nearest}"


class Assistant(Task[list[Question]]):
    """Answers questions from the pairs it was given, and says so when it does not know.

    A memory finds the pair whose question is nearest to what was asked, paraphrases included; a generator, if there is
    one, chooses among several answers to it, and writes answers of its own when asked to.

    Example:
        >>> from unspool import Assistant
        >>> assistant = Assistant(epochs=10).fit("pairs.tsv")  # doctest: +SKIP
        >>> assistant.ask("how do i get started").answer  # doctest: +SKIP
        'Unpack it, then press the green button.'
    """

    name: ClassVar[str] = "answer"
    settings_type: ClassVar[type[Settings]] = AssistantSettings
    summary: ClassVar[str] = "Answers questions from the pairs it was given."

    def __init__(self, settings: Settings | None = None, **values: Any) -> None:
        super().__init__(settings, **values)
        self.questions: list[Question] = []
        """What it knows: questions in all their wordings, and their answers."""
        self.matcher: Matcher | None = None
        self.vocabulary: Vocabulary | None = None
        """Units of the generator."""
        self._ngrams: Any = None
        self._lesson: _Lesson | None = None
        self._added: list[Question] = []

    @property
    def metric(self) -> tuple[str, bool]:
        """With a generator its perplexity: it takes longest to learn, and the memory is best at the end too."""
        return ("perplexity", False) if self.settings.generator else ("first", True)

    # ---- data --------------------------------------------------------------------------------------------------

    def _read(self, paths: Paths) -> list[Question]:
        data = self.settings.data
        reader = read_questions(
            paths,
            format=data.format,
            header=data.header,
            question=data.question,
            answer=data.answer,
            skip_bad=data.skip_bad,
        )
        questions = merge_questions(reader)
        self._skipped += reader.skipped
        return questions

    def _divide(self, examples: list[Question], fraction: float) -> tuple[list[Question], list[Question] | None]:
        """Hold out wordings, never a whole question: what was never told can't be answered."""
        extra = [(place, one) for place, each in enumerate(examples) for one in range(1, len(each.wordings))]
        if not extra:
            return examples, None
        generator = np.random.default_rng([self.settings.training.seed, 0x5B117])
        order = generator.permutation(len(extra))[: max(1, round(len(extra) * fraction))]
        held: dict[int, set[int]] = {}
        for place, one in (extra[each] for each in np.sort(order)):
            held.setdefault(place, set()).add(one)
        kept = [_some(each, set(range(len(each.wordings))) - held.get(i, set())) for i, each in enumerate(examples)]
        return kept, [_some(examples[place], chosen) for place, chosen in held.items()]

    def _size(self, examples: list[Question]) -> dict[str, int]:
        return {
            "questions": len(examples),
            "wordings": sum(len(each.wordings) for each in examples),
            "answers": sum(len(each.answers) for each in examples),
        }

    # ---- vocabulary, network, batches --------------------------------------------------------------------------

    def _learn(self, examples: list[Question]) -> None:
        if len(examples) < 2:
            raise DataError("one question only: expected at least two, there would be nothing to choose from")
        self._learn_questions(examples)
        if self.settings.generator:
            texts = chain.from_iterable((*each.wordings, *each.answers) for each in examples)
            self.vocabulary = learned_vocabulary(texts, self.settings.vocabulary)

    def _learn_questions(self, examples: list[Question]) -> None:
        memory = self.settings.memory
        self.questions, self.matcher, self._lesson = examples, None, None
        self._ngrams = learn_vocabulary(examples, shortest=memory.shortest, longest=memory.longest)

    def _learned_from(self) -> _Lesson:
        """What the memory is trained on; made once for a training."""
        if self._lesson is None:
            held = hold_out(self.questions, seed=self.settings.training.seed)
            bags = PairBags(held.kept, self._ngrams)
            bags.answer_weight = answer_weight(bags)
            self._lesson = _Lesson(held, bags)
        return self._lesson

    def _build(self) -> nn.Module:
        generator = None
        if self.settings.generator:
            assert self.vocabulary is not None
            generator = build_encoder_decoder(
                self.settings.network,
                self._cell,
                self.vocabulary,
                self.vocabulary,
                label_smoothing=self.settings.label_smoothing,
            )
        return AssistantModel(self._retriever(), generator)

    def _retriever(self) -> Retriever:
        """One that training can begin with; of a model that is being loaded, one to put its weights in."""
        size = self.settings.memory.size
        if self.record is None:
            return Retriever(len(self._ngrams), size)
        return begin_retriever(self._learned_from().bags, size=size, seed=self.settings.training.seed)

    def _summary(self) -> str:
        found = f"memory of {len(self.questions):,} questions in {len(self._ngrams):,} words and pieces"
        if not self.settings.generator:
            return found
        network = self.settings.network
        return f"{found}; generator: {network.network}, {super()._summary()}"

    def _source(self, examples: list[Question]) -> BatchSource:
        memory, lesson = self.settings.memory, self._learned_from()
        lookups = LookupSource(
            lesson.held.kept,
            lesson.bags,
            batch_size=memory.batch_size,
            candidates=memory.candidates,
            word_dropout=memory.word_dropout,
            hold_out=memory.hold_out,
            seed=self.settings.training.seed,
        )
        if not self.settings.generator:
            return lookups
        return Interleaved(lookups, bucketed(self._paired(examples), self.settings.training))

    def _paired(self, examples: Iterable[Question]) -> PairedExamples:
        """Every wording with every answer of its question, for the generator."""
        assert self.vocabulary is not None
        both = [(wording, answer) for each in examples for wording in each.wordings for answer in each.answers]
        sources = self._encode([wording for wording, _ in both])
        return PairedExamples(sources, self.vocabulary.encode_batch([answer for _, answer in both]))

    def _encode(self, texts: Sequence[str]) -> Sequences:
        assert self.vocabulary is not None
        encoded = (ids[:_LONGEST] for ids in self.vocabulary.encode_batch([text[:LONGEST_TEXT] for text in texts]))
        return Sequences.of(ids if len(ids) else np.array([UNKNOWN], np.int32) for ids in encoded)

    # ---- scores ------------------------------------------------------------------------------------------------

    def _finish(self, train: list[Question]) -> None:
        """Choose, from the training data, below which confidence it does not know."""
        lesson = self._learned_from()
        probes = make_probes(lesson.held, lesson.bags, seed=self.settings.training.seed)
        index = KeyIndex(self.model.retriever.cpu(), lesson.bags.keys())
        self.matcher = self._matcher(self.model, calibrate(probes, index, keep=self.settings.keep or 1e-6))

    def _go_back(self, train: list[Question], held_out: list[Question] | None) -> None:
        """Set aside what was added after training, and the wordings held out; `_complete` puts both back."""
        known = {text for each in (*train, *(held_out or ())) for text in (*each.wordings, *each.answers)}
        self._added = [each for each in self.questions if not known.issuperset((*each.wordings, *each.answers))]
        self._learn_questions(train)

    def _complete(self, train: list[Question], held_out: list[Question] | None) -> None:
        """Put the wordings that were held out into the memory, behind the others of their questions."""
        more = {each.where: each.wordings for each in held_out or ()}
        whole = [
            Question(each.where, [each.wordings[0], *more[each.where]], each.answers)
            for each in train
            if each.where in more
        ]
        if whole or self._added:
            self._learn_more([*whole, *self._added])

    def _matcher(self, model: nn.Module, confidence: Confidence) -> Matcher:
        assert isinstance(model, AssistantModel)
        weight = self._learned_from().bags.answer_weight
        return Matcher(self.questions, self._ngrams, model.retriever, confidence, answer_weight=weight)

    def _score(self, model: nn.Module, examples: list[Question]) -> dict[str, float]:
        device = device_of(model)
        try:
            found = self._first_right(self._matcher(model, _NOT_YET), examples)
        finally:
            model.to(device)
        return {"first": found["first"], **self._perplexity(model, examples)}

    def _final_score(self, model: nn.Module, examples: list[Question]) -> dict[str, float]:
        assert self.matcher is not None
        return {**self._first_right(self.matcher, examples), **self._perplexity(model, examples)}

    def _perplexity(self, model: nn.Module, examples: list[Question]) -> dict[str, float]:
        """Of the answers by the generator, given the question; nothing without one."""
        assert isinstance(model, AssistantModel)
        if model.generator is None:
            return {}
        return {"perplexity": pair_perplexity(model.generator, self._paired(examples), batched_tokens(self.settings))}

    def _first_right(self, matcher: Matcher, examples: list[Question]) -> dict[str, float]:
        """How often the first pair found has one of the right answers, and how often it is sure enough to say so."""
        right = known = count = 0
        for each in examples:
            for wording in each.wordings:
                ranking = matcher.rank(wording, top=1, threshold=self.settings.threshold)
                said = matcher.questions[ranking.matches[0].pair].answers
                right += bool(set(said) & set(each.answers))
                known += ranking.known
                count += 1
        return {"first": right / count, "answered": known / count}

    def _baselines(self, train: list[Question], held_out: list[Question]) -> dict[str, dict[str, float]]:
        """The same memory without any training: tf–idf of words and pieces."""
        retriever = Retriever(len(self._ngrams), 1)
        with torch.no_grad():
            retriever.projection.zero_()
        weight = self._learned_from().bags.answer_weight
        untrained = Matcher(train, self._ngrams, retriever, _NOT_YET, answer_weight=weight)
        return {"tf–idf": {"first": self._first_right(untrained, held_out)["first"]}}

    # ---- use ---------------------------------------------------------------------------------------------------

    def predict(self, texts: list[str]) -> list[Reply]:
        """Answer questions; see `ask`."""
        return [self.ask(text) for text in texts]

    def ask(self, question: str, *, threshold: float | None = None) -> Reply:
        """Answer one question.

        Args:
            question: Any text; of a very long one, its beginning is read.
            threshold: Confidence from which to answer, between 0 and 1; the setting, or the one chosen from the
                training data, if omitted.

        Raises:
            UsageError: If the assistant has not been trained.
        """
        ranking = self._ranked(question, threshold)
        assert self.matcher is not None
        pairs = [self.matcher.questions[match.pair] for match in ranking.matches]
        sources = [
            Source(pair.wordings[0], pair.answers[0], round(match.probability, 4))
            for pair, match in zip(pairs, ranking.matches, strict=True)
        ]
        said = self._choose(question, pairs[0].answers) if ranking.known else self.settings.unknown
        return Reply(
            question=question,
            answer=said,
            confidence=round(ranking.confidence, 4),
            known=ranking.known,
            threshold=self._least(threshold),
            answers=list(pairs[0].answers),
            sources=sources,
        )

    def _need_model(self) -> None:
        """Also keep the memory where it is fastest, wherever the generator was moved."""
        super()._need_model()
        self.model.retriever.cpu()

    def _ranked(self, question: str, threshold: float | None) -> Ranking:
        self._need_model()
        assert self.matcher is not None
        ranking = self.matcher.rank(question, top=_SHOWN, threshold=self._least(threshold))
        shares = [ranking.confidence, *(match.probability for match in ranking.matches)]
        check_output(torch.tensor(shares), "the question")
        return ranking

    def _least(self, threshold: float | None) -> float:
        assert self.matcher is not None
        chosen = self.matcher.confidence.threshold
        own = self.settings.threshold
        return threshold if threshold is not None else own if own is not None else chosen

    @torch.no_grad()
    def _choose(self, question: str, answers: Sequence[str]) -> str:
        """Of several answers the one that the generator finds likeliest, unit by unit; the first without one."""
        if len(answers) == 1 or self.model.generator is None:
            return answers[0]
        assert self.vocabulary is not None
        generator, scores = self.model.generator, np.zeros(len(answers))
        pairs = PairedExamples(self._encode([question] * len(answers)), self.vocabulary.encode_batch(answers))
        for places, batch in evaluation_batches(pairs, batch_tokens=batched_tokens(self.settings)):
            said = generator(batch.to(device_of(generator))).log_probabilities.sum(0)
            scores[places] = said.cpu().numpy() / (pairs.target.lengths[places] + 1)
        return answers[int(np.argmax(scores))]

    def write(self, question: str) -> str:
        """Let the generator answer in words of its own; it may say things that no pair says.

        Raises:
            UsageError: If there is no generator.
        """
        self._need_model()
        if self.model.generator is None or self.vocabulary is None:
            raise UsageError("this assistant was trained without a generator (generator = false)")
        generator = self.model.generator
        ids, lengths = self._encode([question]).pad(np.array([0]))
        tokens = Tokens(ids, lengths).to(device_of(generator))
        with torch.no_grad():
            state = generator.start(tokens)
        best = decode(
            generator,
            state,
            settings=self.settings.decoding.replace(best=1),
            max_lengths=torch.tensor([self._longest_written()]),
            forbidden=never_written(self.vocabulary, tokens.ids.device),
            source_lengths=tokens.lengths,
        )
        return self.vocabulary.decode(best[0][0].ids)

    def _longest_written(self) -> int:
        """Most units that the generator writes, by the answers there are."""
        assert self.vocabulary is not None
        answers = chain.from_iterable(each.answers for each in self.questions[:500])
        longest = 2 * max(len(ids) for ids in self.vocabulary.encode_batch(list(answers))) + 10
        return min(longest, most_written(self.settings.network))

    def add(self, pairs: Paths | Sequence[tuple[str, str]]) -> int:
        """Learn more pairs without training: from now on the memory finds them.

        Args:
            pairs: Files of questions and answers, or (question, answer) tuples. A question that is known already gets
                one more answer.

        Returns:
            How many questions are new.

        Raises:
            DataError: If the files can't be used, or a question or an answer is empty.
            UsageError: If the assistant has not been trained.
        """
        self._need_model()
        assert self.matcher is not None
        self._skipped = 0
        told = [] if isinstance(pairs, str | Path) else [each for each in pairs if isinstance(each, tuple)]
        more = [_told(question, answer) for question, answer in told] or self._read(cast(Paths, pairs))
        known = set(chain.from_iterable(each.wordings for each in self.questions))
        self._learn_more(more)
        return sum(known.isdisjoint(each.wordings) for each in self.questions)

    def _learn_more(self, more: Sequence[Question]) -> None:
        """Make the memory anew, of all it knows and more; some wordings of theirs are new to its vocabulary."""
        old = self.matcher
        assert old is not None
        known = set(chain.from_iterable(each.wordings for each in self.questions))
        self.questions = merge_questions([*self.questions, *more])
        fresh = [_some(each, [i for i, one in enumerate(each.wordings) if one not in known]) for each in self.questions]
        fresh = [each for each in fresh if each.wordings]
        self._ngrams = old.vocabulary.extended([each.wordings for each in fresh], [each.answers for each in fresh])
        self.model.retriever = old.model.grown(len(self._ngrams))
        self.matcher = Matcher(
            self.questions, self._ngrams, self.model.retriever, old.confidence, answer_weight=old.answer_weight
        )
        if self.record is not None:
            self.record.network = self.describe()

    def introduction(self) -> str:
        """What it knows, in a sentence."""
        self._need_model()
        count = self._size(self.questions)
        return (
            f"{count['questions']:,} questions in {count['wordings']:,} wordings; "
            f"answers from a confidence of {self._least(None):.0%}."
        )

    def trace(self, text: str) -> Trace:
        """Answer one question, and return which of its words counted, and what the generator did with it.

        With a generator the trace is that of writing the answer, its attention included; without one the tokens are the
        question's words, and `memory / counts` says how much lower the found pair's score would be without each.

        Raises:
            UsageError: If the assistant has not been trained, or the text holds no word.
        """
        reply = self.ask(text)
        assert self.matcher is not None
        words, counts = self.matcher.contributions(text)
        prediction: dict[str, Any] = {
            "answer": reply.answer,
            "confidence": reply.confidence,
            "threshold": reply.threshold,
            "sources": [source._asdict() for source in reply.sources],
        }
        if self.model.generator is None or self.vocabulary is None:
            return Trace(tuple(words), {"memory / counts": counts}, prediction, self._summary())
        counted = zip(words, counts.tolist(), strict=True)
        prediction["words that counted"] = [[word, round(count, 4)] for word, count in counted]
        answer = reply.answer if reply.known else reply.answers[0]
        pair = PairedExamples(self._encode([text]), self.vocabulary.encode_batch([answer]))
        read = self.vocabulary.encode_with_offsets(text).units[:_LONGEST] or [text]
        written = [*self.vocabulary.encode_with_offsets(answer).units, ""]
        batch = pair.batch(np.array([0])).to(device_of(self.model.generator))
        return trace_of_pair(self.model.generator, batch, read, written, prediction=prediction, summary=self._summary())

    # ---- folders -----------------------------------------------------------------------------------------------

    def _save_vocabularies(self, folder: Path) -> None:
        kept = [{"wordings": each.wordings, "answers": each.answers} for each in self.questions]
        replace_file(folder / "questions.json", msgspec.json.format(msgspec.json.encode(kept)) + b"\n")
        if self.vocabulary is not None:
            self.vocabulary.save(folder)
        if self.matcher is not None:
            self.matcher.save(folder)
        else:
            self._ngrams.save(folder)

    def _load_vocabularies(self, folder: Path) -> None:
        path = folder / "questions.json"
        kept = read_json(path, list[_Kept], "the list of questions")
        if not kept or not all(each.wordings and each.answers for each in kept):
            raise ModelFolderError(f"{path}: a question without wording or answer; the folder is damaged")
        self.questions = [Question(str(path), each.wordings, each.answers) for each in kept]
        self._ngrams, self._lesson = NgramVocabulary.load(folder), None
        if self.settings.generator:
            self.vocabulary = Vocabulary.load(folder)

    @classmethod
    def load(cls, folder: str | Path, *, cell: str | type[Cell[Any]] | None = None) -> Self:
        task = super().load(folder, cell=cell)
        task.matcher = Matcher.load(Path(folder) / "vocabulary", task.questions, task.model.retriever)
        return task


class _Lesson(NamedTuple):
    """What the memory is trained on."""

    held: HeldOut
    """The questions without some of their wordings, by which the threshold is chosen."""
    bags: PairBags


class _Kept(msgspec.Struct):
    """A question as the model folder keeps it."""

    wordings: list[str]
    answers: list[str]


def _told(question: str, answer: str) -> Question:
    """A pair that was typed or passed in."""
    asked, said = (" ".join(side.split()) for side in (question, answer))
    if not asked or not said:
        side = "answer" if asked else "question"
        raise DataError(f"the {side} is empty; expected a text on both sides")
    return Question("what was added", [asked], [said])


def _some(question: Question, places: Iterable[int]) -> Question:
    """A question in some of its wordings."""
    return Question(question.where, [question.wordings[place] for place in sorted(places)], question.answers)


_NOT_YET = Confidence(scale=1.0, nothing=0.0, threshold=0.0)
