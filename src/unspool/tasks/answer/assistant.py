"""`Assistant`, the task of question answering: retrieval from question–answer pairs, and an optional generator."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, Unpack, cast, overload

import numpy as np
import torch
from torch import nn

from unspool.cells import Cell
from unspool.commands import CommandSet
from unspool.data import (
    DataSource,
    Interleaved,
    PairedExamples,
    Question,
    Vocabulary,
    extend_questions,
    merge_questions,
)
from unspool.decoding import DecodingSettings
from unspool.errors import ModelFolderError, option
from unspool.inspection import Trace
from unspool.inspection.edits import Edits
from unspool.models import AssistantModel, Retriever
from unspool.settings import Settings, describe
from unspool.ship.answers import Answer
from unspool.ship.sheet import Sheet
from unspool.tasks.answer import acting
from unspool.tasks.answer.budget import Budget, budget_of, rules_of
from unspool.tasks.answer.data import Questions, note_of_shared, open_data, question_of, whole
from unspool.tasks.answer.fitted import LONGEST_QUESTION, FittedAssistant
from unspool.tasks.answer.generating import AnswerGenerator
from unspool.tasks.answer.lookup_scores import lookup_scores
from unspool.tasks.answer.matching import (
    Calibration,
    Confidence,
    KeyIndex,
    LookupSource,
    Matcher,
    Ranking,
    begin_retriever,
    calibrate,
    make_probes,
)
from unspool.tasks.answer.reply import Reply, Source
from unspool.tasks.answer.settings import AssistantSettings
from unspool.tasks.answer.sheet import assistant_sheet
from unspool.tasks.answer.sheet_memory import assistant_memory
from unspool.tasks.disagreements import Questions as Labelled
from unspool.tasks.parts.batches import bucketed
from unspool.tasks.parts.editing import Parts
from unspool.tasks.parts.encoder_decoders import build_encoder_decoder, pair_perplexity
from unspool.tasks.parts.finite import check_output
from unspool.tasks.parts.pair_editing import parts_of_pair
from unspool.tasks.parts.pair_trace import trace_of_pair
from unspool.tasks.running.planning import Rules
from unspool.tasks.running.splits import Splits
from unspool.tasks.task import DataLike, Paths, Task
from unspool.tasks.trainable import batched_tokens, device_of
from unspool.training import BatchSource, Reporter
from unspool.training.callbacks import Callback

if TYPE_CHECKING:
    from unspool.tasks.answer.keywords import AssistantKeywords
    from unspool.tasks.command.parser import CommandParser
    from unspool.tasks.dialogue import Dialogue, Turn

__all__ = ["Assistant", "Reply"]

_SHOWN = 5  # sources per reply


class Assistant(Task[Questions, FittedAssistant]):
    """Assistant: answers questions from question–answer pairs, and replies `unknown` below a confidence threshold.

    A retriever finds the pair whose question is most similar, including paraphrases. An optional generator ranks
    several answers to one question, and writes new answers on request.

    Example:
        >>> from unspool import Assistant
        >>> assistant = Assistant(epochs=10).fit("pairs.tsv")  # doctest: +SKIP
        >>> assistant.ask("how do i get started").answer  # doctest: +SKIP
        'Unpack it, then press the green button.'
    """

    name: ClassVar[str] = "answer"
    settings_type: ClassVar[type[Settings]] = AssistantSettings
    fitted_type: ClassVar[type[FittedAssistant]] = FittedAssistant
    _input_role: ClassVar[tuple[str, tuple[str, ...]]] = ("question", ("question", "query", "input", "text", "1"))
    summary: ClassVar[str] = "Answers questions from pairs of questions and answers."

    def __init__(self, settings: AssistantSettings | None = None, **values: Unpack[AssistantKeywords]) -> None:
        super().__init__(settings, **values)
        self._matcher: Matcher | None = None
        self._given: CommandSet | None = None
        self._dialogue: Dialogue | None = None
        self.parser: CommandParser | None = None
        """Parser of the assistant's commands; None without commands."""

    @property
    def questions(self) -> list[Question]:
        """All questions with their wordings and answers.

        Raises:
            UsageError: If the assistant has not been trained.
        """
        return self.fitted.questions

    @property
    def vocabulary(self) -> Vocabulary | None:
        """Vocabulary of the generator; None without a generator.

        Raises:
            UsageError: If the assistant has not been trained.
        """
        return self.fitted.vocabulary

    @property
    def matcher(self) -> Matcher:
        """Matcher that ranks the stored questions for a new question.

        Raises:
            UsageError: If the assistant has not been trained.
        """
        if self._matcher is None:
            self._need_weights()
            if self._unfinished is not None:
                self.fitted.calibration = self._calibrated()
            if self.fitted.calibration is None:
                raise ModelFolderError(f"{self._home}: vocabulary/matching.json is missing; the folder is not complete")
            self._matcher = self._matcher_of(self.model, self.fitted.calibration)
        return self._matcher

    @property
    def metric(self) -> tuple[str, bool]:
        """Perplexity if there is a generator, which trains longest; otherwise the retrieval accuracy `first`."""
        return ("perplexity", False) if self.settings.generator else ("first", True)

    # ---- data --------------------------------------------------------------------------------------------------

    def _columns_in_memory(self) -> tuple[str, ...]:
        return self.settings.data.question or "question", self.settings.data.answer or "answer"

    def _read(self, source: DataSource) -> Questions:
        reader = open_data(self.settings, source, self._read_as)
        questions = Questions(merge_questions(reader))
        self._remember(reader)
        return questions

    def _notes(self, train: Questions, held_out: Questions | None) -> list[str]:
        """Return notes on wordings that several questions share, and on settings without effect."""
        budget = self._budget.note(generator=self.settings.generator)
        notes = [*note_of_shared(whole(train, held_out)), *self._note_of_generator()]
        return [*notes, budget] if budget else notes

    @property
    def _budget(self) -> Budget:
        """Time limits of the parts of the training."""
        return budget_of(self.settings.training.minutes, commands=self.fitted.commands is not None)

    def _training_rules(self) -> Rules | None:
        return rules_of(generator=self.settings.generator, commands=self._given is not None)

    def _time_limit(self) -> float | None:
        return self._budget.questions

    def _note_of_generator(self) -> list[str]:
        """Return a note on generator settings that have no effect without a generator."""
        if self.settings.generator:
            return []
        usual, own = AssistantSettings(), ("network.", "vocabulary.", "decoding.", "label_smoothing")
        names = [name for name in describe(AssistantSettings) if name.startswith(own)]
        changed = [name for name in names if attrgetter(name)(self.settings) != attrgetter(name)(usual)]
        if not changed:
            return []
        verb = "have" if len(changed) > 1 else "has"
        return [f"{', '.join(changed)} {verb} no effect without a generator; train one with {option('generator')}"]

    def fit(
        self,
        train: DataLike,
        labels: Iterable[Any] | None = None,
        *,
        commands: str | os.PathLike[str] | CommandSet | None = None,
        valid: DataLike | None = None,
        test: DataLike | None = None,
        out: str | Path | None = None,
        resume: bool = False,
        overwrite: bool = False,
        baselines: bool = True,
        reporter: Reporter | None = None,
        callbacks: Sequence[Callback] = (),
        allow: Collection[str] = (),
    ) -> Self:
        """Train on questions and answers, and on commands if there are any; see `Task.fit`.

        Args:
            train: Questions and answers. Python files of commands may stand among the paths; their code runs.
            labels: See `Task.fit`.
            commands: A Python file of commands, whose code runs, or a `CommandSet`.
            valid: See `Task.fit`.
            test: See `Task.fit`.
            out: Model folder to write; the parser of the commands is in its folder `commands`.
            resume: See `Task.fit`. The commands come from the folder, and no code runs.
            overwrite: See `Task.fit`.
            baselines: See `Task.fit`.
            reporter: See `Task.fit`.
            callbacks: See `Task.fit`.
            allow: See `Task.fit`.

        Raises:
            CommandError: If the file of commands fails.
            DataError: If there are no questions and answers, or the data can't be used.
        """
        train, self._given = acting.split_commands(train, commands)
        parts: dict[str, Any] = {"resume": resume, "overwrite": overwrite, "reporter": reporter}
        rest: dict[str, Any] = {"valid": valid, "test": test, "callbacks": callbacks, "allow": allow}
        super().fit(train, labels, out=out, baselines=baselines, **parts, **rest)
        self._dialogue, self.parser = None, acting.train_parser(self, out, minutes=self._budget.commands, **parts)
        return self

    def _learn(self, examples: Questions) -> None:
        super()._learn(examples)
        self.fitted.commands = self._given

    def save(self, folder: str | Path) -> None:
        """Write the model folder, and the parser of the commands into its folder `commands`; see `Task.save`."""
        super().save(folder)
        if self.parser is not None:
            self.parser.save(Path(folder) / acting.FOLDER)

    @classmethod
    def load(cls, folder: str | Path, *, cell: str | type[Cell[Any]] | None = None) -> Self:
        """Load an assistant with the parser of its commands, but without their functions; see `Task.load`."""
        assistant = super().load(folder, cell=cell)
        assistant.parser = acting.load_parser(assistant, Path(folder))
        return assistant

    # ---- vocabulary, network, batches --------------------------------------------------------------------------

    def _build(self) -> nn.Module:
        generator = None
        if self.settings.generator:
            units = self.fitted.units
            generator = build_encoder_decoder(
                self.settings.network,
                self._cell,
                units,
                units,
                label_smoothing=self.settings.label_smoothing,
            )
        return AssistantModel(self._retriever(), generator)

    def _retriever(self) -> Retriever:
        """Build the retriever with its initial weights; for a model to be loaded, without initial weights."""
        size = self.settings.memory.size
        if self.record is None:
            return Retriever(len(self.fitted.ngrams), size)
        return begin_retriever(self.fitted.lesson.bags, size=size, seed=self.settings.training.seed)

    def _summary(self) -> str:
        memory = f"memory of {len(self.questions):,} questions in {len(self.fitted.ngrams):,} words and pieces"
        if not self.settings.generator:
            return memory
        network = self.settings.network
        return f"{memory}; generator: {network.network}, {super()._summary()}"

    def _source(self, examples: Questions) -> BatchSource:
        memory, lesson = self.settings.memory, self.fitted.lesson
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
        return Interleaved(lookups, bucketed(self.fitted.paired(examples), self.settings.training))

    def _start(self, examples: Questions) -> None:
        if self.model.generator is not None:
            counts = self.fitted.paired(examples).target_counts(len(self.fitted.units))
            self.model.generator.softmax.start_from(counts)

    # ---- scores ------------------------------------------------------------------------------------------------

    def _finish(self, splits: Splits[Questions], score: Callable[[], None]) -> list[str]:
        """Calibrate and score, then add the held-out wordings and later additions to the memory."""
        self.fitted.calibration, self._matcher = self._calibrated(), None
        score()
        if splits.held_out or self.fitted.additions:
            self._learn_more(self.fitted.completed(splits.train.examples, splits.held_out))
        return []

    def _calibrated(self) -> Calibration:
        """Calibrate the confidence and its threshold on the training data."""
        lesson = self.fitted.lesson
        probes = make_probes(lesson.held, lesson.bags, seed=self.settings.training.seed)
        index = KeyIndex(self.model.retriever.cpu(), lesson.bags.keys())
        confidence = calibrate(probes, index, keep=self.settings.keep or 1e-6)
        return Calibration(confidence, lesson.bags.answer_weight)

    def _shorter(self) -> list[str]:
        if not self.settings.generator:
            return [f"smaller vectors (memory.size, now {self.settings.memory.size})"]
        without = option("generator", False)
        return [f"no generator ({without}), which is what takes the time", *super()._shorter()]

    def _matcher_of(self, model: AssistantModel, calibration: Calibration) -> Matcher:
        return Matcher(
            self.fitted.questions,
            self.fitted.ngrams,
            model.retriever,
            calibration.confidence,
            answer_weight=calibration.answer_weight,
        )

    def _score(self, model: nn.Module, examples: Questions) -> dict[str, float]:
        assert isinstance(model, AssistantModel)
        device = device_of(model)
        not_yet = Calibration(_NOT_YET, self.fitted.lesson.bags.answer_weight)
        try:
            scores = lookup_scores(self._matcher_of(model, not_yet), examples)
        finally:
            model.to(device)
        return {"first": scores["first"], "correct": scores["correct"], **self._perplexity(model, examples)}

    def _final_score(self, model: nn.Module, examples: Questions) -> dict[str, float]:
        scores = lookup_scores(self.matcher, examples, threshold=self.settings.threshold, choose=self._choose)
        return {**scores, **self._perplexity(model, examples)}

    def _perplexity(self, model: nn.Module, examples: Questions) -> dict[str, float]:
        """Perplexity of the answers under the generator, given the questions; empty without a generator."""
        assert isinstance(model, AssistantModel)
        if model.generator is None:
            return {}
        return {
            "perplexity": pair_perplexity(model.generator, self.fitted.paired(examples), batched_tokens(self.settings))
        }

    def _baselines(self, train: Questions, held_out: Questions) -> dict[str, dict[str, float]]:
        """Score the untrained retriever: tf–idf of words and character n-grams."""
        retriever = Retriever(len(self.fitted.ngrams), 1)
        with torch.no_grad():
            retriever.projection.zero_()
        weight = self.fitted.lesson.bags.answer_weight
        untrained = Matcher(train, self.fitted.ngrams, retriever, _NOT_YET, answer_weight=weight)
        scores = lookup_scores(untrained, held_out)
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
            question: Any text; very long texts are truncated.
            threshold: Minimum confidence for an answer, between 0 and 1; by default that of the settings, or the one
                calibrated on the training data.

        Raises:
            UsageError: If `question` is not a single text, or the assistant has not been trained.
        """
        self._one_text(question, "ask")
        ranking = self._ranked(question, threshold)
        pairs = [self.matcher.questions[match.pair] for match in ranking.matches]
        sources = [
            Source(pair.wordings[0], pair.answers[0], round(match.probability, 4))
            for pair, match in zip(pairs, ranking.matches, strict=True)
        ]
        answer = self._choose(question, pairs[0].answers) if ranking.known else self.settings.unknown
        return Reply(
            question=question,
            answer=answer,
            confidence=round(ranking.confidence, 4),
            known=ranking.known,
            threshold=self._least(threshold),
            answers=list(pairs[0].answers),
            sources=sources,
        )

    def sheet(self) -> Sheet:
        """Return the retriever as a closed list of operations, without commands and generator; see `Task.sheet`."""
        self._need_model()
        threshold, unknown = self._least(None), self.settings.unknown
        sheet = assistant_sheet(self.matcher, threshold=threshold, unknown=unknown)
        return replace(sheet, memory=assistant_memory(self.matcher, threshold, unknown))

    def _export_questions(self, examples: Questions) -> Labelled:
        """Return the wordings, each with the first answer."""
        pairs = [(wording, each.answers[0]) for each in examples for wording in each.wordings]
        return Labelled([wording for wording, _ in pairs], [answer for _, answer in pairs], [""] * len(pairs))

    def _export_answers(self, texts: Sequence[Any]) -> list[Answer]:
        """Return the first answer of the best pair."""
        rankings = [self._ranked(text, None) for text in texts]
        pairs = [self.matcher.questions[ranking.matches[0].pair] for ranking in rankings]
        return [
            pair.answers[0] if ranking.known else self.settings.unknown
            for pair, ranking in zip(pairs, rankings, strict=True)
        ]

    def _need_model(self) -> None:
        """Check for weights, move the retriever to the CPU, where single questions are fastest, and build its keys."""
        self._need_weights()
        self.model.retriever.cpu()
        self.matcher  # noqa: B018 - built on first use

    def _ranked(self, question: str, threshold: float | None) -> Ranking:
        self._need_model()
        ranking = self.matcher.rank(question, top=_SHOWN, threshold=self._least(threshold))
        shares = [ranking.confidence, *(match.probability for match in ranking.matches)]
        check_output(torch.tensor(shares), "the question")
        return ranking

    def _least(self, threshold: float | None) -> float:
        calibrated = self.matcher.confidence.threshold
        setting = self.settings.threshold
        return threshold if threshold is not None else setting if setting is not None else calibrated

    def _choose(self, question: str, answers: Sequence[str]) -> str:
        """Return the likeliest answer under the generator; the first one without a generator."""
        if len(answers) == 1 or self.model.generator is None:
            return answers[0]
        return self._generator().choose(question, answers)

    def _generator(self) -> AnswerGenerator:
        """Return the generator.

        Raises:
            UsageError: If there is none, or the assistant has not been trained.
        """
        self._need_model()
        self.fitted.units  # noqa: B018 - raises without a generator
        return AnswerGenerator(self.model.generator, self.fitted, self.settings)

    def dialogue(self, commands: str | os.PathLike[str] | CommandSet | None = None, **options: Any) -> Dialogue:
        """Return a new dialogue with the assistant.

        Args:
            commands: The functions: a Python file, whose code runs, or a `CommandSet`. Those of `fit` if omitted;
                None: commands are named, not called.
            options: See `Dialogue`: threshold, clock.

        Raises:
            CommandError: If the commands do not fit those that the assistant learned.
        """
        from unspool.tasks.dialogue import Dialogue

        self._need_model()
        return Dialogue(self, self._given if commands is None else commands, **options)

    def act(self, text: str) -> Turn:
        """Reply to one sentence of a dialogue: answer a question, or carry out a command.

        The dialogue goes on from call to call: a command may ask for a value, or for confirmation.

        Raises:
            UsageError: If the assistant has not been trained.
        """
        self._dialogue = self._dialogue or self.dialogue()
        return self._dialogue.say(text)

    def write(self, question: str) -> str:
        """Generate a new answer; its content may appear in no pair.

        Raises:
            UsageError: If there is no generator, or the assistant has not been trained.
        """
        return self._generator().write(question)

    def stream(
        self, question: str, *, decoding: DecodingSettings | None = None, seed: int | None = None
    ) -> Iterator[str]:
        """Generate a new answer and yield it piece by piece.

        Beam search has no partial result: if the settings of the assistant specify beam search, `stream` decodes
        greedily. Decoding is lazy: closing the iterator, or leaving a `for` loop, stops it.

        Args:
            question: Any text; very long texts are truncated.
            decoding: Decoding settings: greedy or sample, one output. Those of the assistant if omitted.
            seed: Random seed for sampling.

        Returns:
            An iterator of pieces of text, each at least one character.

        Raises:
            SettingError: If `decoding` specifies beam search or several outputs.
            UsageError: If there is no generator, or the assistant has not been trained.
        """
        self._one_text(question, "stream")
        return self._generator().stream(question, decoding, seed)

    def add(self, pairs: Paths | Sequence[tuple[str, str]]) -> int:
        """Add pairs to the memory without training.

        Args:
            pairs: Files of questions and answers, or (question, answer) tuples. An existing question gets one more
                answer; a paraphrase of several existing questions becomes a new question.

        Returns:
            The number of new questions.

        Raises:
            DataError: If the files can't be used, or a question or an answer is empty.
            UsageError: If the assistant has not been trained.
        """
        self._need_model()
        self._skipped = 0
        tuples = [] if isinstance(pairs, str | os.PathLike) else [each for each in pairs if isinstance(each, tuple)]
        more = [question_of(question, answer) for question, answer in tuples] or self._read(cast(Paths, pairs))
        before = len(self.questions)
        self._learn_more(extend_questions(self.questions, more))
        return len(self.questions) - before

    def _learn_more(self, questions: list[Question]) -> None:
        """Rebuild the memory with a longer list of questions."""
        self._fitted, self._matcher = self.fitted.extended(questions), None
        self.model.retriever = self.model.retriever.cpu().grown(len(self.fitted.ngrams))
        self._need_model()
        if self.record is not None:
            self.record.network = self.describe()

    def introduction(self) -> str:
        """Return the size of the memory and the threshold, in one sentence."""
        self._need_model()
        count = Questions(self.questions).sizes()
        return (
            f"{count['questions']:,} questions in {count['wordings']:,} wordings; "
            f"answers from a confidence of {self._least(None):.0%}."
            + ("" if self.parser is None else f" {self.parser.introduction()}")
        )

    def trace(self, text: str, edits: Edits = ()) -> Trace:
        """Answer one question, and return the contribution of each word, or the recorded values of the generator.

        With a generator, the trace records the forward pass over the answer, with attention. Without a generator, the
        tokens are the words of the question; `memory / counts` holds the drop of the best pair's score without each
        word.

        Args:
            text: The question.
            edits: Changes of the generator during that pass, or of units of the question.

        Raises:
            DataError: If the text contains no word.
            UsageError: If `text` is not a single text, an edit does not fit, or the assistant has not been trained.
        """
        self._one_text(text)
        if edits:
            return self._edited_trace(text, edits)
        reply = self.ask(text)
        words, counts = self.matcher.contributions(text)
        prediction: dict[str, Any] = {
            "answer": reply.answer,
            "confidence": reply.confidence,
            "threshold": reply.threshold,
            "sources": [source._asdict() for source in reply.sources],
        }
        if self.model.generator is None:
            return Trace(tuple(words), {"memory / counts": counts}, prediction, self._summary())
        counted = zip(words, counts.tolist(), strict=True)
        prediction["words that counted"] = [[word, round(count, 4)] for word, count in counted]
        answer = reply.answer if reply.known else reply.answers[0]
        pair = PairedExamples(self.fitted.encode([text]), self.fitted.units.encode_batch([answer]))
        source = self.fitted.units.encode_with_offsets(text).units[:LONGEST_QUESTION] or [text]
        target = [*self.fitted.units.encode_with_offsets(answer).units, ""]
        batch = pair.batch(np.array([0])).to(device_of(self.model.generator))
        return trace_of_pair(
            self.model.generator, batch, source, target, prediction=prediction, summary=self._summary()
        )

    def _parts(self) -> Parts:
        generator = self.model.generator
        return Parts() if generator is None else parts_of_pair(generator)


_NOT_YET = Confidence(scale=1.0, nothing=0.0, threshold=0.0)
