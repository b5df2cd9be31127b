"""Bodies of requests and answers of the API, as structs that check requests and describe themselves in OpenAPI."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

__all__ = [
    "AdvanceRequest",
    "ChatMessage",
    "ChatRequest",
    "CompareRequest",
    "CompletionRequest",
    "ConceptRequest",
    "CorrectRequest",
    "DisagreeRequest",
    "ForecastRequest",
    "ForkRequest",
    "ForkTextRequest",
    "GenerateRequest",
    "GradientsRequest",
    "GraphRequest",
    "NameUnitRequest",
    "PredictRequest",
    "Prediction",
    "PruneRequest",
    "SessionRequest",
    "SessionState",
    "TraceRequest",
    "WeightsRequest",
    "Written",
]

Temperature = Annotated[float, Meta(ge=0, le=1000)]
TopK = Annotated[int, Meta(ge=1, le=10_000_000)]
TopP = Annotated[float, Meta(gt=0, le=1)]
Seed = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]


class _Request(Struct, forbid_unknown_fields=True, kw_only=True):
    model: str | None = None
    """Name of the model; the first one that can do it if omitted."""


class PredictRequest(_Request, kw_only=True):
    """Ask for predictions of one input or of many."""

    input: Any = UNSET
    """One input: a text, a list of words for a tagger, a list of numbers for a classifier of vectors."""
    inputs: list[Any] | UnsetType = UNSET
    """Many inputs."""
    threshold: Annotated[float, Meta(ge=0, le=1)] | None = None
    """Lowest confidence of an answer, for assistants alone; its own if omitted."""


class Prediction(Struct):
    """Predictions of a model: `prediction` for one input, `predictions` for many."""

    model: str
    prediction: dict[str, Any] | UnsetType = UNSET
    predictions: list[dict[str, Any]] | UnsetType = UNSET


class TraceRequest(_Request, kw_only=True):
    """Ask for all recorded values of one input."""

    input: Any
    """One input, as in `/api/predict`."""
    edits: list[Any] = []
    """Edits of the run, as in `/api/fork`."""
    form: Annotated[str, Meta(pattern="^(json|binary)$")] = "json"
    """`json`, the form of trace files; `binary`, a header of JSON and the arrays as float32."""


class ForkTextRequest(_Request, kw_only=True):
    """Run one input without and with edits."""

    input: Any
    """One input, as in `/api/predict`."""
    edits: list[Any] = []
    """Edits of the fork: lines such as `layer 1 / forget[3,7] = 0 @ 2`, or objects."""
    base: list[Any] = []
    """Edits of both runs, for a fork of a fork."""
    length: Count = 0
    """Number of units to write after the input, in both runs; language models alone."""
    temperature: Annotated[float, Meta(ge=0, le=1000)] = 1.0
    seed: Seed = 0


class GradientsRequest(_Request, kw_only=True):
    """Measure gradients through time on one input."""

    input: Any
    """One input, as in `/api/predict`."""
    target: Any = None
    """Label or output that the losses score; the model's own prediction if omitted."""
    loss_at: Annotated[int, Meta(ge=0)] | None = None
    """Position of a single loss, from 0; all if omitted."""
    truncation: Annotated[int, Meta(ge=1)] | None = None
    """Length of truncated backpropagation to compare with, in steps."""
    jacobians: bool = True
    """Whether to compute the largest singular values of the steps too."""


class ConceptRequest(_Request, kw_only=True):
    """Find the unit that tracks a property of a text."""

    text: str
    """The data: a text for a language model, labelled lines or a tag file for other models."""
    suffix: Annotated[str, Meta(pattern=r"^\.(txt|tsv|csv|jsonl|conll|conllu)$")] = ".txt"
    """Form of the data, as the suffix of a file."""
    property: str | None = None
    """A built-in property: depth, code-depth, quotes, comment, line-position."""
    regex: str | None = None
    """The property: inside a match of this regular expression."""
    column: str | None = None
    """The property: a column of the data."""
    tokens: Annotated[int, Meta(ge=1, le=1_000_000)] = 50_000
    """Most tokens to read."""
    ablate: bool = True
    """Whether to clamp the unit and compare with random units."""


class CompareRequest(_Request, kw_only=True):
    """Compare two models or two texts."""

    input: Any
    """One input, as in `/api/predict`."""
    other: str | None = None
    """Name of the other model; the same if omitted."""
    other_input: Any = None
    """The other text; the same if omitted."""


class DisagreeRequest(_Request, kw_only=True):
    """Find where two models disagree."""

    other: str
    """Name of the other model."""
    text: str
    """Labelled data, in a form that the models were trained on; a text for language models."""
    suffix: Annotated[str, Meta(pattern=r"^\.(txt|tsv|csv|jsonl|conll|conllu)$")] = ".tsv"
    """Form of the data, as the suffix of a file."""
    most: Annotated[int, Meta(ge=1, le=1000)] = 50
    """Maximum number of examples in the answer."""


class WeightsRequest(_Request, kw_only=True):
    """Ask how much each unit of the last layer counts for a choice."""

    choice: str
    """A label, a tag, or a unit of the vocabulary."""


class NameUnitRequest(_Request, kw_only=True):
    """Name a unit of a model."""

    array: str
    """Array of states, such as `layer 1 / c`."""
    unit: Annotated[int, Meta(ge=0)]
    """Index of the unit, from 0."""
    name: Annotated[str, Meta(min_length=1, max_length=60)]


class PruneRequest(_Request, kw_only=True):
    """Write a copy of a model without some units, into the folder that the server was started with."""

    units: Annotated[list[str], Meta(min_length=1, max_length=1000)]
    """Units as in an edit, counted from 1, such as `layer 1 / c[38]`; or their names."""
    name: str
    """Name of the new model: letters, digits, dots, hyphens and underscores."""


class ForecastRequest(_Request, kw_only=True):
    """Forecast the next values of one series."""

    input: Any = None
    """The series so far, as for `predict`; the training data if omitted."""
    horizon: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    """Steps to forecast; those of the training if omitted."""


class GraphRequest(_Request, kw_only=True):
    """Draw the network."""

    input: Any = None
    """One input over which the cells are unrolled; folded only if omitted."""


class _Sampling(_Request, kw_only=True):
    temperature: Temperature = 1.0
    """Above 1 more varied, below 1 less; 0 takes the most probable unit."""
    top_k: TopK | None = None
    """Sample from this many most probable units only."""
    top_p: TopP | None = None
    """Sample from the most probable units whose probabilities sum to this."""
    seed: Seed | None = None
    """Seed of the sampling; the same seed gives the same text. A random one if omitted."""


class GenerateRequest(_Sampling, kw_only=True):
    """Continue a text."""

    prompt: str = ""
    """Beginning of the text; a new line if empty."""
    length: Count = 200
    """Number of units to write."""
    stream: bool = False
    """Whether to send the text as server-sent events while it is written."""


class Written(Struct):
    """A text that a model wrote."""

    model: str
    text: str
    """The new text, without the prompt."""
    units: int
    """Number of units written."""
    seed: int
    """Seed that repeats the text."""


class SessionRequest(_Sampling, kw_only=True):
    """Open a session: a text that a model reads and continues bit by bit, with a state of constant size."""

    prompt: str = ""
    """Beginning of the text; a new line if empty. It is read with the first advance."""


class AdvanceRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Read further text, then write."""

    text: str = ""
    """Text to read first."""
    length: Count = 0
    """Number of units to write."""
    stream: bool = False
    """Whether to send the text as server-sent events while it is written."""


class ForkRequest(Struct, forbid_unknown_fields=True, kw_only=True):
    """Copy a session."""

    seed: Seed | None = None
    """Seed of the copy; that of the original if omitted, so that both write the same."""


class SessionState(Struct):
    """A session."""

    id: str
    model: str
    units: int
    """Number of units written so far."""
    seed: int
    expires: float
    """Seconds until the session ends without use."""


class CorrectRequest(_Request, kw_only=True):
    """Correct a reply: the right answer to a question, or the right call of a command."""

    question: Annotated[str, Meta(min_length=1, max_length=10_000)]
    """The message."""
    answer: Annotated[str, Meta(min_length=1, max_length=10_000)] | UnsetType = UNSET
    """The right answer of an assistant."""
    call: str | UnsetType | None = UNSET
    """Name of the command that the message means; null if it means none."""
    arguments: dict[str, Any] = {}
    """Arguments of the command, as texts or JSON."""


class ChatMessage(Struct, kw_only=True):
    """One message of a chat."""

    role: str
    content: str | list[dict[str, Any]]
    name: str | None = None


class _Completion(_Request, kw_only=True):
    """Fields that completions and chats share, as clients of that protocol send them."""

    max_tokens: Count | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    seed: Seed | None = None
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    stop: str | list[str] | None = None
    n: int | None = None
    user: str | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None


class CompletionRequest(_Completion, kw_only=True):
    """Continue a text, in the protocol of `/v1/completions`."""

    prompt: str | list[str] = ""
    echo: bool = False
    logprobs: int | None = None
    suffix: str | None = None
    best_of: int | None = None


class ChatRequest(_Completion, kw_only=True):
    """Answer the last message of a chat, in the protocol of `/v1/chat/completions`."""

    messages: Annotated[list[ChatMessage], Meta(min_length=1, max_length=10_000)]
    dialogue: Annotated[str, Meta(max_length=100)] | None = None
    """Identifier of the conversation, for models with commands: a random text that the client chooses. It keeps apart
    two conversations with equal messages."""
    max_completion_tokens: Count | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    functions: list[Any] | None = None
    response_format: Any = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    parallel_tool_calls: bool | None = None
    store: bool | None = None
    metadata: dict[str, str] | None = None
