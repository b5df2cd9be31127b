"""Questions and answers in, something to talk to out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Unpack, cast, overload

import msgspec
import numpy as np
import torch
from torch import nn

from unspool.data import (
    LONGEST_TEXT,
    UNKNOWN,
    DataSource,
    Interleaved,
    NgramVocabulary,
    PairedExamples,
    Question,
    Reader,
    RowsInMemory,
    Sample,
    Sequences,
    Tokens,
    Vocabulary,
    evaluation_batches,
    extend_questions,
    merge_questions,
    questions_of_rows,
    read_questions,
    shared_wordings,
    wording_key,
)
from unspool.decoding import DecodingSettings, decode, stream, stream_settings, text_pieces
from unspool.errors import DataError, ModelFolderError, UsageError, option
from unspool.inspection import Trace
from unspool.models import AssistantModel, Retriever
from unspool.reading import read_json
from unspool.settings import Settings, describe
from unspool.tasks.answer.matching import (
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
    targets,
)
from unspool.tasks.answer.settings import AssistantSettings
from unspool.tasks.parts.encoder_decoders import build_encoder_decoder, most_written, never_written, pair_perplexity
from unspool.tasks.parts.finite import check_output
from unspool.tasks.parts.pair_trace import trace_of_pair
from unspool.tasks.parts.representation import brief
from unspool.tasks.parts.vocabularies import bucketed, learned_vocabulary
from unspool.tasks.task import Paths, Task, batched_tokens, device_of
from unspool.training import BatchSource
from unspool.writing import replace_file

if TYPE_CHECKING:
    from unspool.tasks.answer.keywords import AssistantKeywords

__all__ = ["Assistant", "Reply", "Source"]

_LONGEST = 256  # units of a question that the generator reads
_SHOWN = 5  # pairs that a reply names
_EXAMPLES, _PLACES = 3, 2  # wordings that a note names, and places of each


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
    """How sure it is that the question belongs to its first source rather than to none, between 0 and 1."""
    known: bool
    """Whether that reached the threshold."""
    threshold: float
    answers: list[str]
    """Every answer that its first source has."""
    sources: list[Source]
    """The likeliest pairs, likeliest first; also where it does not know."""

    def __repr__(self) -> str:
        sure = f"{self.confidence:.0%} sure" + ("" if self.known else f", below {self.threshold:.0%}")
        return f"<Reply {brief(self.answer)} ({sure}) to {brief(self.question)}>"

    def line(self) -> str:
        """The answer."""
        return self.answer

    def record(self) -> dict[str, Any]:
        """All fields."""
        return {**self._asdict(), "sources": [source._asdict() for source in self.sources]}

    def source_line(self) -> str:
        """How sure it is, and from where, in one line."""
        nearest, *others = self.sources
        if self.known:
            alike = "".join(f"; as likely: {each.question}" for each in others if each.share == nearest.share)
            return f"{self.confidence:.0%} sure, from: {nearest.question}{alike}"
        return f"{self.confidence:.0%} sure, below {self.threshold:.0%}; the nearest it knows: {nearest.question}"


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

    def __init__(self, settings: AssistantSettings | None = None, **values: Unpack[AssistantKeywords]) -> None:
        super().__init__(settings, **values)
        self.questions: list[Question] = []
        """What it knows: questions in all their wordings, and their answers."""
        self.matcher: Matcher | None = None
        self.vocabulary: Vocabulary | None = None
        """Units of the generator."""
        self._ngrams: Any = None
        self._lesson: _Lesson | None = None
        self._added: list[_Addition] = []

    @property
    def metric(self) -> tuple[str, bool]:
        """With a generator its perplexity: it takes longest to learn, and the memory is best at the end too."""
        return ("perplexity", False) if self.settings.generator else ("first", True)

    # ---- data --------------------------------------------------------------------------------------------------

    def _columns_in_memory(self) -> tuple[str, ...]:
        return self.settings.data.question or "question", self.settings.data.answer or "answer"

    def _questions(self, source: DataSource) -> Reader[Question]:
        data = self.settings.data
        if isinstance(source, RowsInMemory):
            rows = source.reader(skip_bad=data.skip_bad)
            return questions_of_rows(rows, question=data.question, answer=data.answer)
        return read_questions(
            source,
            format=data.format,
            header=data.header,
            delimiter=data.delimiter,
            question=data.question,
            answer=data.answer,
            columns=self._columns_of("question", "answer"),
            skip_bad=data.skip_bad,
        )

    def _read(self, source: DataSource) -> list[Question]:
        reader = self._questions(source)
        questions = merge_questions(reader)
        self._remember(reader)
        return questions

    def _samples(self, examples: list[Question]) -> Iterator[Sample]:
        for each in examples:
            for wording in each.wordings:
                yield Sample(each.where, (wording, each.answers[0]))

    def _divide(self, examples: list[Question], fraction: float) -> tuple[list[Question], list[Question] | None]:
        """Hold out wordings, never a whole question: what was never told can't be answered.

        A wording of several questions is held out of all of them.
        """
        spare = _spare_wordings(examples)
        if not spare:
            return examples, None
        generator = np.random.default_rng([self.settings.training.seed, 0x5B117])
        order = generator.permutation(len(spare))[: max(1, round(len(spare) * fraction))]
        held: dict[int, set[int]] = {}
        for place, one in chain.from_iterable(spare[each] for each in np.sort(order)):
            held.setdefault(place, set()).add(one)
        kept = [_some(each, set(range(len(each.wordings))) - held.get(i, set())) for i, each in enumerate(examples)]
        return kept, [_some(examples[place], held[place]) for place in sorted(held)]

    def _notes(self, train: list[Question], held_out: list[Question] | None) -> list[str]:
        """Name the wordings that several questions share, and settings that have no effect."""
        return [*_note_of_shared(_whole(train, held_out)), *self._note_of_generator()]

    def _note_of_generator(self) -> list[str]:
        """Name the settings of a generator that is not trained."""
        if self.settings.generator:
            return []
        usual, own = AssistantSettings(), ("network.", "vocabulary.", "decoding.", "label_smoothing")
        names = [name for name in describe(AssistantSettings) if name.startswith(own)]
        changed = [name for name in names if attrgetter(name)(self.settings) != attrgetter(name)(usual)]
        if not changed:
            return []
        verb = "have" if len(changed) > 1 else "has"
        return [f"{', '.join(changed)} {verb} no effect without a generator; train one with {option('generator')}"]

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

    def _finish_early(self) -> None:
        self._finish(self.questions)

    def _shorter(self) -> list[str]:
        if not self.settings.generator:
            return [f"smaller vectors (memory.size, now {self.settings.memory.size})"]
        without = option("generator", False)
        return [f"no generator ({without}), which is what takes the time", *super()._shorter()]

    def _go_back(self, train: list[Question], held_out: list[Question] | None) -> None:
        """Set aside what was added after training, and the wordings held out; `_complete` puts both back."""
        self._added = _additions(_whole(train, held_out), self.questions)
        self._learn_questions(train)

    def _complete(self, train: list[Question], held_out: list[Question] | None) -> None:
        """Put the wordings that were held out into the memory, behind the others of their questions."""
        if held_out or self._added:
            self._learn_more(_with_additions(_whole(train, held_out), self._added))

    def _matcher(self, model: nn.Module, confidence: Confidence) -> Matcher:
        assert isinstance(model, AssistantModel)
        weight = self._learned_from().bags.answer_weight
        return Matcher(self.questions, self._ngrams, model.retriever, confidence, answer_weight=weight)

    def _score(self, model: nn.Module, examples: list[Question]) -> dict[str, float]:
        device = device_of(model)
        try:
            scores = self._lookup_scores(self._matcher(model, _NOT_YET), examples)
        finally:
            model.to(device)
        return {"first": scores["first"], "correct": scores["correct"], **self._perplexity(model, examples)}

    def _final_score(self, model: nn.Module, examples: list[Question]) -> dict[str, float]:
        assert self.matcher is not None
        return {**self._lookup_scores(self.matcher, examples, self._choose), **self._perplexity(model, examples)}

    def _perplexity(self, model: nn.Module, examples: list[Question]) -> dict[str, float]:
        """Of the answers by the generator, given the question; nothing without one."""
        assert isinstance(model, AssistantModel)
        if model.generator is None:
            return {}
        return {"perplexity": pair_perplexity(model.generator, self._paired(examples), batched_tokens(self.settings))}

    def _lookup_scores(
        self, matcher: Matcher, examples: list[Question], choose: Callable[[str, Sequence[str]], str] | None = None
    ) -> dict[str, float]:
        """How often the first entry is right, how often its answer is, and how often it is sure enough to be given.

        Args:
            matcher: Finds the entries.
            examples: Questions with the answers that are right for them.
            choose: Chooses among several answers to a question; the first one is given if omitted.
        """
        right = targets(matcher.questions, examples)
        first = correct = answered = 0
        wordings = [wording for each in examples for wording in each.wordings]
        for wording in wordings:
            ranking = matcher.rank(wording, top=1, threshold=self.settings.threshold)
            place, target = ranking.matches[0].pair, right[wording_key(wording)]
            answers = matcher.questions[place].answers
            first += place in target.entries
            correct += (choose(wording, answers) if choose else answers[0]) in target.answers
            answered += ranking.known
        counts = {"first": first, "correct": correct, "answered": answered}
        return {name: count / len(wordings) for name, count in counts.items()}

    def _baselines(self, train: list[Question], held_out: list[Question]) -> dict[str, dict[str, float]]:
        """The same memory without any training: tf–idf of words and pieces."""
        retriever = Retriever(len(self._ngrams), 1)
        with torch.no_grad():
            retriever.projection.zero_()
        weight = self._learned_from().bags.answer_weight
        untrained = Matcher(train, self._ngrams, retriever, _NOT_YET, answer_weight=weight)
        scores = self._lookup_scores(untrained, held_out)
        return {"tf–idf": {"first": scores["first"], "correct": scores["correct"]}}

    # ---- use ---------------------------------------------------------------------------------------------------

    @overload
    def predict(self, texts: str) -> Reply: ...  # type: ignore[overload-overlap] # one str is one text
    @overload
    def predict(self, texts: Iterable[str]) -> list[Reply]: ...
    def predict(self, texts: str | Iterable[str]) -> Reply | list[Reply]:
        """Answer one question, or each of several; see `ask`."""
        return self._for_each(texts, lambda listed: [self.ask(text) for text in listed])

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
        generator, vocabulary, tokens, state = self._begun(question)
        best = decode(
            generator,
            state,
            settings=self.settings.decoding.replace(best=1),
            max_lengths=torch.tensor([self._longest_written()]),
            forbidden=never_written(vocabulary, tokens.ids.device),
            source_lengths=tokens.lengths,
        )
        return vocabulary.decode(best[0][0].ids)

    def stream(
        self, question: str, *, decoding: DecodingSettings | None = None, seed: int | None = None
    ) -> Iterator[str]:
        """Let the generator answer in words of its own, piece by piece as the answer is written.

        Where the assistant's own settings say beam, which is decided at its end only, the greedy search writes instead.
        A unit is computed when its piece is asked for: closing the iterator, or leaving a `for` loop, ends the work.

        Args:
            question: Any text; of a very long one, its beginning is read.
            decoding: How to write: greedy or sample, and one output. The assistant's own settings if omitted.
            seed: Start of chance, where the answer is drawn.

        Returns:
            An iterator of pieces of text, each at least one character.

        Raises:
            SettingError: If `decoding` says beam or several outputs.
            UsageError: If there is no generator.
        """
        self._one_text(question, "stream")
        settings = stream_settings(decoding, self.settings.decoding)
        generator, vocabulary, tokens, state = self._begun(question)
        written = stream(
            generator,
            state,
            settings=settings,
            max_length=self._longest_written(),
            forbidden=never_written(vocabulary, tokens.ids.device),
            generator=None if seed is None else torch.Generator(tokens.ids.device).manual_seed(seed),
        )
        return text_pieces(vocabulary.decode, (unit for unit, _ in written), complete=True)

    @torch.no_grad()
    def _begun(self, question: str) -> tuple[Any, Vocabulary, Tokens, Any]:
        """The generator, its vocabulary, the question's units, and the state in which writing begins."""
        self._need_model()
        if self.model.generator is None or self.vocabulary is None:
            raise UsageError(f"this assistant has no generator that could write; train one with {option('generator')}")
        generator = self.model.generator
        tokens = Tokens(*self._encode([question]).pad(np.array([0]))).to(device_of(generator))
        return generator, self.vocabulary, tokens, generator.start(tokens)

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
                one more answer; a paraphrase of several known questions becomes a question of its own.

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
        before = len(self.questions)
        self._learn_more(extend_questions(self.questions, more))
        return len(self.questions) - before

    def _learn_more(self, questions: list[Question]) -> None:
        """Make the memory anew, of all it knows and more; some of the wordings are new to its vocabulary."""
        old = self.matcher
        assert old is not None
        known = set(chain.from_iterable(each.wordings for each in self.questions))
        self.questions = questions
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
            UsageError: If several texts came, the assistant has not been trained, or the text holds no word.
        """
        self._one_text(text)
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

    def _opened(self, vocabularies: Path) -> None:
        self.matcher = Matcher.load(vocabularies, self.questions, self.model.retriever)


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


def _note_of_shared(examples: Sequence[Question]) -> list[str]:
    """Say which wordings several questions share, and where they stand."""
    shared = shared_wordings(examples)
    if not shared:
        return []
    parts = []
    for key, places in list(shared.items())[:_EXAMPLES]:
        first = next(text for text in examples[places[0]].wordings if wording_key(text) == key)
        parts.append(f"{first!r} ({', '.join(examples[place].where for place in places[:_PLACES])})")
    count = f"{len(shared):,} wordings belong" if len(shared) > 1 else "1 wording belongs"
    return [
        f"{count} to several questions: {', '.join(parts)}{' ...' if len(shared) > _EXAMPLES else ''}. "
        f"Asked so, the assistant takes the question whose other wordings and answers fit best, and shows all"
    ]


def _spare_wordings(examples: Sequence[Question]) -> list[list[tuple[int, int]]]:
    """Wordings that can be held out: for each, the places of the questions that have it, and its place in them."""
    first = {wording_key(each.wordings[0]) for each in examples}
    spare: dict[str, list[tuple[int, int]]] = {}
    for place, each in enumerate(examples):
        for one, wording in enumerate(each.wordings[1:], 1):
            if (key := wording_key(wording)) not in first:
                spare.setdefault(key, []).append((place, one))
    return list(spare.values())


def _whole(train: Sequence[Question], held_out: Sequence[Question] | None) -> list[Question]:
    """The questions trained on, with the wordings that were held out of them behind their others."""
    more = {each.where: each.wordings for each in held_out or ()}
    return [
        Question(each.where, [*each.wordings, *more[each.where]], each.answers) if each.where in more else each
        for each in train
    ]


class _Addition(NamedTuple):
    """What a question has beyond what it was trained with."""

    place: int | None
    """Of the question; None for a new one."""
    question: Question
    """The wordings and answers that came later; there may be none of either."""


def _additions(trained: Sequence[Question], questions: Sequence[Question]) -> list[_Addition]:
    """What questions have that those trained on lack; those trained on come first, in their order."""
    texts = {text for each in trained for text in (*each.wordings, *each.answers)}
    additions = []
    for place, each in enumerate(questions):
        old = trained[place] if place < len(trained) else None
        if old is not None and old.wordings[0] == each.wordings[0]:
            more = _without(each, old)
            if more.wordings or more.answers:
                additions.append(_Addition(place, more))
        elif old is None or not texts.issuperset((*each.wordings, *each.answers)):
            additions.append(_Addition(None, each))
    return additions


def _with_additions(trained: Sequence[Question], additions: Sequence[_Addition]) -> list[Question]:
    """The questions with what was added to them, and the new ones behind them."""
    questions = list(trained)
    for place, more in additions:
        if place is None:
            questions.append(more)
        else:
            old = questions[place]
            questions[place] = Question(old.where, old.wordings + more.wordings, old.answers + more.answers)
    return questions


def _without(question: Question, other: Question) -> Question:
    """The wordings and answers of a question that another lacks."""
    wordings, answers = set(other.wordings), set(other.answers)
    return Question(
        question.where,
        [text for text in question.wordings if text not in wordings],
        [text for text in question.answers if text not in answers],
    )


def _some(question: Question, places: Iterable[int]) -> Question:
    """A question in some of its wordings."""
    return Question(question.where, [question.wordings[place] for place in sorted(places)], question.answers)


_NOT_YET = Confidence(scale=1.0, nothing=0.0, threshold=0.0)
