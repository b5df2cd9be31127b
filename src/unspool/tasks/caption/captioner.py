"""`Captioner`, the task of describing images: an image in, a text out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Unpack, overload

import numpy as np
import torch
from torch import nn

from unspool.data import (
    Bucketed,
    Captioned,
    DataSource,
    Image,
    Paths,
    Reader,
    Sequences,
    Tokens,
    Unlabelled,
    Vocabulary,
    evaluation_batches,
)
from unspool.decoding import DecodingSettings, Hypothesis, decode
from unspool.decoding.sampling import seeded
from unspool.errors import UsageError
from unspool.inputs.images.entry import read_image_paths
from unspool.inspection import Trace
from unspool.inspection.edits import Edits
from unspool.inspection.shown_image import ShownImage
from unspool.models import EncoderDecoder
from unspool.settings import Settings
from unspool.tasks.caption.baselines import Blind, best_constant, nearest_captions
from unspool.tasks.caption.data import CaptionedExamples, open_data
from unspool.tasks.caption.fitted import AS_GRID, FittedCaptioner
from unspool.tasks.caption.network import build_captioner
from unspool.tasks.caption.scores import caption_scores
from unspool.tasks.caption.settings import CaptionerSettings
from unspool.tasks.disagreements import Questions
from unspool.tasks.parts.batches import bucketed
from unspool.tasks.parts.editing import Parts
from unspool.tasks.parts.encoder_decoders import most_written, never_written, pair_perplexity
from unspool.tasks.parts.pair_editing import PrefixSteps, is_edited, parts_of_pair
from unspool.tasks.parts.pair_trace import trace_of_pair
from unspool.tasks.parts.representation import brief
from unspool.tasks.task import DataLike, Task
from unspool.tasks.trainable import batched_tokens, device_of

if TYPE_CHECKING:
    from unspool.tasks.caption.keywords import CaptionerKeywords

__all__ = ["Caption", "Captioner"]

_SAMPLES = 3  # captions in the log of each validation
_SHUFFLED = "cider-d, images shuffled"
_MORE = 5  # units by which a caption may be longer than the longest in training

GREEDY = DecodingSettings(search="greedy")


class Caption(NamedTuple):
    """Prediction of a captioner for one image."""

    image: str
    """File of the image, or its name."""
    caption: str
    score: float
    """Ranking score: log-probability in nats, divided by the length penalty."""
    others: list[tuple[str, float]]
    """The next best captions with their scores, if `decoding.best` is above 1."""
    units: list[str]
    """Units of the caption; an empty string marks its end."""
    attention: list[list[float]] | None
    """Attention weights, one row per unit and one column per cell of the grid; None without attention."""
    grid: tuple[int, int]
    """Rows and columns of the grid over the image; its cells are numbered row by row."""

    def __repr__(self) -> str:
        return f"<Caption {brief(self.caption)} of {self.image}>"

    def line(self) -> str:
        """Format the caption; with several, one line per caption with its score."""
        if not self.others:
            return self.caption
        rows = [(self.caption, self.score), *self.others]
        return "".join(f"{text}\t{score:.4f}\n" for text, score in rows)

    def record(self) -> dict[str, Any]:
        """Return all fields."""
        return {**self._asdict(), "others": [list(other) for other in self.others], "grid": list(self.grid)}


class Captioner(Task[CaptionedExamples, FittedCaptioner]):
    """Describes images: a convolutional encoder, and a decoder that writes a caption and looks at the image.

    Example:
        >>> from unspool import Captioner
        >>> model = Captioner(network="additive").fit("train.tsv", valid="dev.tsv")  # doctest: +SKIP
        >>> model.predict("dog.jpg").caption  # doctest: +SKIP
        'a brown dog runs through the grass'
    """

    name: ClassVar[str] = "caption"
    settings_type: ClassVar[type[Settings]] = CaptionerSettings
    fitted_type: ClassVar[type[FittedCaptioner]] = FittedCaptioner
    summary: ClassVar[str] = "Describes an image in words."
    _validation_titles = MappingProxyType({"cider-d": "greedy cider-d", "bleu-4": "greedy bleu-4"})

    def __init__(self, settings: CaptionerSettings | None = None, **values: Unpack[CaptionerKeywords]) -> None:
        super().__init__(settings, **values)

    @property
    def vocabulary(self) -> Vocabulary:
        """Vocabulary of the captions.

        Raises:
            UsageError: If the model has not been trained.
        """
        return self.fitted.vocabulary

    @property
    def metric(self) -> tuple[str, bool]:
        choose = self.settings.choose_by
        return choose, choose != "perplexity"

    @property
    def main_score(self) -> tuple[str, bool]:
        choose = self.settings.choose_by
        return ("cider-d" if choose == "perplexity" else choose), True

    @property
    def score_titles(self) -> dict[str, str]:
        """Titles of BLEU-4 and CIDEr-D with the search."""
        decoding = self.settings.decoding
        search = f"beam {decoding.beam}" if decoding.search == "beam" else decoding.search
        return {name: f"{name} ({search})" for name in ("bleu-4", "cider-d")}

    # ---- data --------------------------------------------------------------------------------------------------

    def _columns_in_memory(self) -> tuple[str, ...]:
        data = self.settings.data
        return data.image_column or "image", data.caption_column or "caption"

    def _read(self, source: DataSource) -> CaptionedExamples:
        if self._fitted is not None and not self._fitted.input.reads_files:
            raise UsageError("the server reads no images from files of its own machine; score the model with evaluate")
        reader = open_data(self.settings, source, self._read_as)
        examples = CaptionedExamples.of(reader)
        self._remember(reader)
        return examples

    def read_inputs(self, paths: Paths, *, format: str | None = None) -> Reader[Unlabelled]:
        """Open images without captions for reading: image files, folders, or lists and tables of their paths."""
        columns = () if self._read_as is None else self._read_as.columns_of("image")
        return read_image_paths(paths, format=format, columns=columns)

    def _checked_text(self, text: Any, where: str) -> Any:
        return self.fitted.input.value(text, where)

    def _is_one(self, texts: Any) -> bool:
        return self.fitted.input.is_one(texts)

    # ---- network, batches --------------------------------------------------------------------------------------

    def _build(self) -> nn.Module:
        settings, images = self.settings, self.fitted.input
        return build_captioner(
            settings.network,
            self._cell,
            images.encoder(AS_GRID, self._cell),
            images.boxes(),
            self.vocabulary,
            label_smoothing=settings.label_smoothing,
        )

    def _summary(self) -> str:
        network, images = self.settings.network, self.fitted.input
        rows, columns = images.grid
        layers = "layer" if network.layers == 1 else "layers"
        kind = "transformer" if network.network == "transformer" else f"{network.network} {network.cell}"
        decoder = f"{kind} decoder, {network.layers} {layers} of {network.hidden}"
        return f"{decoder}, over {rows} x {columns} cells of {images.summary()}"

    def _source(self, examples: CaptionedExamples) -> Bucketed[Captioned]:
        return bucketed(self.fitted.encode(examples), self.settings.training)

    def _start(self, examples: CaptionedExamples) -> None:
        self.model.softmax.start_from(self.fitted.encode(examples).target_counts(len(self.vocabulary)))

    def _notes(self, train: CaptionedExamples, held_out: CaptionedExamples | None) -> list[str]:
        return self.fitted.input.notes(train.images)

    # ---- scores ------------------------------------------------------------------------------------------------

    def _score(self, model: nn.Module, examples: CaptionedExamples) -> dict[str, float]:
        scores = {"perplexity": self._perplexity(model, examples)}
        if self.settings.choose_by != "perplexity":
            captions = self._outputs(model, examples, GREEDY)
            every = caption_scores(captions, examples.captions)
            scores |= {name: every[name] for name in ("bleu-4", "cider-d", "exact")}
        return scores

    def _samples(self, model: nn.Module, examples: CaptionedExamples) -> list[dict[str, str]]:
        """Describe the first held-out images, greedily."""
        first = examples.take(np.arange(min(_SAMPLES, len(examples.images))))
        captions = self._outputs(model, first, GREEDY)
        return [
            {"input": str(image), "output": caption, "right": right[0]}
            for image, caption, right in zip(first.images, captions, first.captions, strict=True)
        ]

    def _final_score(self, model: nn.Module, examples: CaptionedExamples) -> dict[str, float]:
        """Score the captions, and once more each image with the caption of the next one."""
        captions = self._outputs(model, examples, self.settings.decoding.replace(best=1))
        references = examples.captions
        scores = caption_scores(captions, references)
        if len(captions) > 1:
            scores[_SHUFFLED] = caption_scores([*captions[1:], captions[0]], references)["cider-d"]
        return {**scores, "perplexity": self._perplexity(model, examples)}

    def _perplexity(self, model: nn.Module, examples: CaptionedExamples) -> float:
        assert isinstance(model, EncoderDecoder)
        return pair_perplexity(model, self.fitted.encode(examples, every=True), batched_tokens(self.settings))

    def score_notes(self, data: DataLike, labels: Iterable[Any] | None = None) -> list[str]:
        """Return how words are counted, and where the document frequencies of CIDEr-D come from."""
        examples = self._read(self._data_source(data, labels))
        images, captions = len(examples.images), sum(map(len, examples.captions))
        return [
            f"BLEU, ROUGE-L and CIDEr-D as COCO's evaluation computes them, on {images:,} images with {captions:,} "
            f"references, in lower case and without punctuation; document frequencies from these references",
            f"{_SHUFFLED}: each image with the caption of the next one",
        ]

    def _baselines(self, train: CaptionedExamples, held_out: CaptionedExamples) -> dict[str, dict[str, float]]:
        references, count = held_out.captions, len(held_out.images)
        constant = best_constant(train.captions, self.main_score[0])
        images = self.fitted.input
        nearest = nearest_captions(images.features(train.images), train.captions, images.features(held_out.images))
        encoded, other = self.fitted.encode(train, every=True), self.fitted.encode(held_out, every=True)
        blind = Blind.learn(encoded.captions, len(self.vocabulary), self.fitted.lengths.longest)
        written = self.vocabulary.decode(blind.caption)
        return {
            "constant caption": caption_scores([constant] * count, references),
            "nearest training image": caption_scores(nearest, references),
            "language model without image": {
                **caption_scores([written] * count, references),
                "perplexity": blind.perplexity(other.captions),
            },
        }

    # ---- search ------------------------------------------------------------------------------------------------

    def _outputs(self, model: nn.Module, examples: CaptionedExamples, decoding: DecodingSettings) -> list[str]:
        generator = torch.Generator(device_of(model)).manual_seed(self.settings.training.seed)  # reproducible scores
        outputs = self._write(model, examples.images, examples.where, decoding, generator=generator)
        return [self.vocabulary.decode(best[0].ids) for best in outputs]

    def _write(
        self,
        model: nn.Module,
        images: Sequence[Image],
        where: Sequence[str],
        decoding: DecodingSettings,
        prefix: Sequence[int] = (),
        generator: torch.Generator | None = None,
    ) -> list[list[Hypothesis]]:
        """Write captions of every image, best first."""
        assert isinstance(model, EncoderDecoder)
        device, outputs = device_of(model), [[]] * len(images)  # type: ignore[var-annotated]
        encoded = self.fitted.input.encode(images, where)
        budget = max(1024, batched_tokens(self.settings) // max(1, decoding.beam))
        limit = min(self.fitted.lengths.longest + _MORE + len(prefix), most_written(self.settings.network))
        steps = PrefixSteps(model) if is_edited(model) else model
        for places, batch in evaluation_batches(encoded, batch_tokens=budget):
            source = _without_captions(batch).to(device)
            hypotheses = decode(
                steps,
                self._started(steps, source),
                settings=decoding,
                max_lengths=torch.full((len(places),), limit, device=device),
                forbidden=never_written(self.vocabulary, device),
                prefix=[prefix] * len(places) if prefix else None,
                source_lengths=source.lengths,
                generator=generator,
            )
            for place, best in zip(places, hypotheses, strict=True):
                outputs[place] = best
        return outputs

    @torch.no_grad()
    def _started(self, model: EncoderDecoder | PrefixSteps, source: Any) -> Any:
        return model.start(source)

    def _parts(self) -> Parts:
        return parts_of_pair(self.model)

    # ---- use ---------------------------------------------------------------------------------------------------

    @overload
    def predict(
        self, texts: str, *, decoding: DecodingSettings | None = None, begin: str = "", seed: int | None = None
    ) -> Caption: ...
    @overload
    def predict(
        self,
        texts: Iterable[Any],
        *,
        decoding: DecodingSettings | None = None,
        begin: str = "",
        seed: int | None = None,
    ) -> list[Caption]: ...
    def predict(
        self, texts: Any, *, decoding: DecodingSettings | None = None, begin: str = "", seed: int | None = None
    ) -> Caption | list[Caption]:
        """Describe one image, or each of several.

        Args:
            texts: An image, or a list of images: paths, arrays of pixels, or bytes of image files.
            decoding: Decoding settings; those of the model if omitted.
            begin: Forced prefix of each caption.
            seed: Random seed for sampling.

        Returns:
            One prediction for one image, or a list for several.

        Raises:
            DataError: If an image can't be read.
            UsageError: If the model has not been trained.
        """
        return self._for_each(texts, lambda images: self._described(images, decoding, begin, seed))

    def _described(
        self, images: list[Image], decoding: DecodingSettings | None, begin: str, seed: int | None
    ) -> list[Caption]:
        where = [f"image {number}" for number in range(1, len(images) + 1)]
        generator = None if seed is None else seeded(seed, device_of(self.model))
        prefix = self.vocabulary.encode(begin) if begin else []
        outputs = self._write(self.model, images, where, decoding or self.settings.decoding, prefix, generator)
        return [self._caption(image, best) for image, best in zip(images, outputs, strict=True)]

    def _caption(self, image: Image, hypotheses: list[Hypothesis]) -> Caption:
        best, *others = hypotheses
        attention = None if best.attention is None else np.round(best.attention.astype(np.float64), 4).tolist()
        decoded = self.vocabulary.decode
        return Caption(
            image=str(image),
            caption=decoded(best.ids),
            score=best.score,
            others=[(decoded(each.ids), each.score) for each in others],
            units=self._units(best),
            attention=attention,
            grid=self.fitted.input.grid,
        )

    def _units(self, hypothesis: Hypothesis) -> list[str]:
        shown = [self.vocabulary.decode([id]) or self.vocabulary.unit(id) for id in hypothesis.ids]
        return shown + [""] * hypothesis.finished

    def _questions(self, examples: CaptionedExamples) -> Questions:
        return Questions(examples.images, [captions[0] for captions in examples.captions], examples.where)

    def trace(self, text: Any, edits: Edits = ()) -> Trace:
        """Describe one image and return the recorded values of the decoder, with attention maps over the image.

        The values come from one forward pass over the image and the whole caption. The tokens are the cells of the
        grid; `written` holds the values of the decoder at each unit of the caption, and `image` the picture.

        Args:
            text: The image.
            edits: Changes of gates, states and attention. The decoder searches for its caption with them.

        Raises:
            DataError: If the image can't be read.
            UsageError: If `text` is not a single image, an edit does not fit, or the model has not been trained.
        """
        self._need_model()
        if edits:
            return self._edited_trace(text, edits)
        if not self._is_one(text):
            raise UsageError("trace takes one image; of several make a list: [model.trace(image) for image in images]")
        images = self.fitted.input
        image = images.value(text, "image")
        hypotheses = self._write(self.model, [image], ["image"], self.settings.decoding)[0]
        result = self._caption(image, hypotheses)
        source = _without_captions(images.encode([image], ["image"]).batch(np.array([0])))
        target = Tokens(*Sequences.of([np.array(hypotheses[0].ids, np.int64)]).pad(np.array([0])))
        trace = trace_of_pair(
            self.model,
            Captioned(source.inputs_once, target, source.index).to(device_of(self.model)),
            images.positions(image),
            result.units,
            prediction={"caption": result.caption},
            summary=self._summary(),
        )
        return trace if images.reads_features else trace.over(ShownImage.of(images.view(image), images.boxes()))


def _without_captions(images: Any) -> Captioned:
    """Return a batch of images as the source of a search, one row for each."""
    count = images.size
    empty = Tokens(torch.zeros(0, count, dtype=torch.int64), torch.zeros(count, dtype=torch.int64))
    return Captioned(images, empty, torch.arange(count))
