"""Writing of a language model: a text is continued unit by unit, also with edits, and two runs are compared."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from unspool.data import END, PADDING, UNKNOWN, Vocabulary
from unspool.decoding import Continuation, Continuations, Sampling, SelfStarting, continued, text_pieces
from unspool.errors import UsageError
from unspool.inspection.edits import Edit, Edits, read_edits
from unspool.inspection.fork import BothTexts, Fork
from unspool.layers import Recurrent
from unspool.ship.answers import EXPORTED_UNITS, Answer
from unspool.ship.sheet import Sheet
from unspool.tasks.disagreements import Questions
from unspool.tasks.parts.editing import check_count, donors, with_tokens
from unspool.tasks.task import Task
from unspool.tasks.trainable import device_of
from unspool.tasks.write.corpus import Corpus
from unspool.tasks.write.edited_steps import EditedGeneration, forced_units, refuse_past_the_context
from unspool.tasks.write.fitted import FittedLanguageModel
from unspool.tasks.write.mixture import MixtureSteps
from unspool.tasks.write.sheet import language_model_sheet
from unspool.tasks.write.tiled_steps import TiledSteps

__all__ = ["Generative"]

_READ = 1_000_000  # characters of a text that prompts for the check of an export are taken from


class Generative(Task[Corpus, FittedLanguageModel]):
    """The part of a language model that generates text from a prompt."""

    @property
    def vocabulary(self) -> Vocabulary:
        """Vocabulary of units.

        Raises:
            UsageError: If the model has not been trained.
        """
        return self.fitted.vocabulary

    @property
    def _whole_lines(self) -> bool:
        return self.settings.vocabulary.units in ("word", "blank")

    def _units(self, text: str) -> list[str]:
        return self.vocabulary.encode_with_offsets(text).units

    def generate(
        self,
        prompt: str = "",
        *,
        length: int = 200,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        edits: Edits = (),
    ) -> str:
        """Generate text from a prompt; the result includes the prompt.

        Args:
            prompt: Beginning of the text; a new line if empty.
            length: Number of units to generate, at least 0.
            temperature: Sampling temperature, at least 0; 0 always takes the most probable unit.
            top_k: Sample only from this number of most probable units.
            top_p: Nucleus sampling: sample only from the smallest set of units with this total probability.
            seed: Random seed; the same seed gives the same text.
            edits: Changes of gates, states and units while the model reads and writes. Tokens count from the beginning
                of the prompt; a new unit of the prompt stands in the result.

        Raises:
            SettingError: If a setting is out of its range.
            UsageError: If the model has not been trained, `length` is negative, or an edit does not fit.
        """
        plan = read_edits(edits)
        begin = self._edited_prompt(prompt, plan)
        return begin + "".join(
            self.stream(prompt, length=length, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed, edits=plan)
        )

    def stream(
        self,
        prompt: str = "",
        *,
        length: int = 200,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
        edits: Edits = (),
    ) -> Iterator[str]:
        """Generate text from a prompt and yield the text piece by piece, without the prompt.

        The joined pieces equal the text of `generate` with the same arguments. Generation is lazy: closing the
        iterator, or leaving a `for` loop, stops it.

        Args:
            prompt: Beginning of the text; a new line if empty.
            length: Number of units to generate, at least 0.
            temperature: Sampling temperature, at least 0; 0 always takes the most probable unit.
            top_k: Sample only from this number of most probable units.
            top_p: Nucleus sampling: sample only from the smallest set of units with this total probability.
            seed: Random seed; the same seed gives the same text.
            edits: As for `generate`.

        Returns:
            An iterator of pieces of text, each at least one character.

        Raises:
            SettingError: If a setting is out of its range; raised by the call.
            UsageError: If the model has not been trained, `length` is negative, or an edit does not fit.
        """
        self._one_text(prompt, "stream")
        self._need_model()
        if length < 0:
            raise UsageError(f"length = {length}: expected 0 or more")
        plan = read_edits(edits)
        steps = self._steps_of_generation() if not plan else self._edited_generation(prompt, plan, length)
        text = self.continuation(
            self._edited_prompt(prompt, plan),
            length=length,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=seed,
        )
        return self._pieces(steps, text)

    def sheet(self) -> Sheet:
        """Return the network as a closed list of operations, without the n-grams of a mixture; see `Task.sheet`."""
        self._need_model()
        never = torch.nonzero(self._forbidden(torch.device("cpu")))[:, 0].tolist()
        return language_model_sheet(self.model, self.fitted, never)

    def _export_questions(self, examples: Corpus) -> Questions:
        """Return the first lines of a text, each at most 80 characters, as prompts."""
        text = "".join(islice(examples.pieces(), 4))[:_READ]
        prompts = [line[:80] for line in text.splitlines() if line.strip()]
        return Questions(prompts, [], [""] * len(prompts))

    def _export_answers(self, texts: Sequence[Any]) -> list[Answer]:
        """Return what the network writes greedily after each prompt, 40 units."""
        forbidden, answers = self._forbidden(device_of(self.model)), []
        for text in texts:
            prompt = [END, *self.vocabulary.encode(text)]
            task = Continuation(prompt, length=EXPORTED_UNITS, sampling=Sampling(0.0), seed=0)
            with torch.no_grad():
                answers.append(self.vocabulary.decode(continued(self.model, task, forbidden=forbidden)))
        return list(answers)

    def continuation(
        self,
        prompt: str = "",
        *,
        length: int = 0,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
    ) -> Continuation:
        """Return a text to be continued by `continuations`; arguments as in `stream`."""
        if seed is None:
            seed = int(torch.randint(2**63 - 1, (1,)))
        ids = [END, *self.vocabulary.encode(prompt)]
        return Continuation(ids, length=length, sampling=Sampling(temperature, top_k, top_p), seed=seed)

    def continuations(self, *, tiled: bool = False) -> Continuations:
        """Return an empty batch of texts that this model continues.

        Args:
            tiled: Whether to compute the output layer in tiles of a fixed number of rows, so that a text is the same
                to the bit in every batch. Single texts are faster without.
        """
        steps = self._steps_of_generation(tiled=tiled)
        return Continuations(steps, forbidden=self._forbidden(device_of(self.model)))

    def _pieces(self, steps: SelfStarting, text: Continuation) -> Iterator[str]:
        """Yield the pieces of a text that steps continue."""
        begin = list(text.unread)
        units = continued(steps, text, forbidden=self._forbidden(device_of(self.model)))
        return text_pieces(self.vocabulary.decode, units, begin=begin)

    def _steps_of_generation(self, *, tiled: bool = False) -> SelfStarting:
        mixture, model = self.fitted.mixture, self.model
        steps: Any = TiledSteps(model) if tiled and isinstance(model.decoder, Recurrent) else model
        return steps if mixture is None else MixtureSteps(steps, mixture)

    def _edited_generation(self, prompt: str, edits: Sequence[Edit], length: int) -> SelfStarting:
        """Return steps with edits of the prompt and of the generated units."""
        count, parts = len(self._units(prompt)), self._parts()
        refuse_past_the_context(self.model.decoder, edits, 1 + count + length)
        forced = forced_units(self.vocabulary, edits, count, count + length)
        values = donors(parts, edits, self.trace)
        return EditedGeneration(self._steps_of_generation(), parts, edits, values, forced)

    def _edited_prompt(self, prompt: str, edits: Sequence[Edit]) -> str:
        """Return a prompt with the new units of edits."""
        if not edits or not prompt:
            return prompt
        new = with_tokens(prompt, units := self._units(prompt), edits)
        check_count(units, self._units(new))
        return new

    def fork(
        self,
        text: Any,
        edits: Edits = (),
        *,
        base: Edits = (),
        length: int = 0,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int | None = None,
    ) -> Fork:
        """Read a text without and with edits, compare both runs, and continue both with the same random numbers.

        The divergence of a token is that of the next unit's distributions after the token.

        Args:
            text: The text; or an earlier fork, whose edits then belong to both runs.
            edits: The edits of the fork. With a length, they may also name tokens that are generated.
            base: Edits of both runs.
            length: Number of units to generate after the text, in both runs.
            temperature: As for `generate`.
            top_k: As for `generate`.
            top_p: As for `generate`.
            seed: Random seed of both continuations; a random one if omitted.

        Raises:
            DataError: If the text contains no unit.
            SettingError: If a setting is out of its range.
            UsageError: If `text` is not a single text, an edit does not fit, or the model has not been trained.
        """
        text, plan, common = self._fork_of(text, edits, base)
        self._need_model()
        self._one_text(text, "fork")
        count = len(self._units(text)) if length else math.inf
        read = [edit for edit in plan if edit.tokens is None or edit.tokens[0] < count]
        read_by_both = [edit for edit in common if edit.tokens is None or edit.tokens[0] < count]
        refuse_past_the_context(self.model.decoder, (*common, *plan), 1 + len(self._units(text)) + length)
        fork = super().fork(text, read, base=read_by_both)
        if not length:
            return fork
        seed = int(torch.randint(2**31, ())) if seed is None else seed
        texts = []
        for both in (common, (*common, *plan)):
            steps, prompt = self._edited_generation(text, both, length), self._edited_prompt(text, both)
            new = self.continuation(prompt, length=length, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
            texts.append("".join(self._pieces(steps, new)))
        return replace(fork, edits=plan, base=common, continuations=BothTexts(*texts))

    def _forbidden(self, device: torch.device) -> Tensor:
        forbidden = torch.zeros(len(self.vocabulary), dtype=torch.bool, device=device)
        forbidden[[PADDING, UNKNOWN] if self._whole_lines else [PADDING, UNKNOWN, END]] = True
        return forbidden
