"""From files to batches: readers, vocabularies, encoded examples and the order they come in.

Names are imported on first use, so that reading files imports no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unspool.data.algorithms import (
        Adding,
        Copy,
        Exercise,
        ExerciseKind,
        ExerciseSource,
        Recall,
        RepeatCopy,
        Reverse,
        Sort,
    )
    from unspool.data.batches import IGNORED, Batch, Characters, Labelled, Paired, Tokens, Vectors, Window
    from unspool.data.brackets import Brackets, BracketsInCode, code_depths, depths
    from unspool.data.examples import Examples, PairedExamples, Sequences, refuse_empty
    from unspool.data.files import Layout, Paths, Reader, find_files, is_stream, name_of
    from unspool.data.in_memory import DataSource, Files, RowsInMemory, are_files, rows_in_memory
    from unspool.data.labelled import LABEL_NAMES, TEXT_NAMES, LabelledText
    from unspool.data.labels import Labels
    from unspool.data.ngrams import LONGEST_TEXT, Bag, Bags, NgramVocabulary, split_words
    from unspool.data.pairs import Pair, pairs_of_rows, read_pairs
    from unspool.data.questions import (
        Question,
        extend_questions,
        merge_questions,
        questions_of_rows,
        read_questions,
        shared_wordings,
        wording_key,
    )
    from unspool.data.rows import Header, Row, find_column, guess_text_and_label, read_rows
    from unspool.data.sentences import CONLLU_COLUMNS, Glued, Sentence, read_sentences, sentences_of_rows, tag_columns
    from unspool.data.sources import (
        BatchSource,
        Bucketed,
        Encoded,
        Interleaved,
        Windows,
        count_evaluated,
        evaluation_batches,
    )
    from unspool.data.spelling import Spelling
    from unspool.data.splitting import split
    from unspool.data.stories import Story, read_stories, stories_of_rows, story_words
    from unspool.data.story_batches import Stories, StoryBatches, StoryExamples
    from unspool.data.summary import Sample, Summary, layout_lines
    from unspool.data.text import Line, read_lines, read_text
    from unspool.data.token_file import TokenFile, token_array
    from unspool.data.vocabulary import END, PADDING, UNKNOWN, Encoding, Units, Vocabulary
    from unspool.data.word_splits import WordSplits

__all__ = [
    "CONLLU_COLUMNS",
    "END",
    "IGNORED",
    "LABEL_NAMES",
    "LONGEST_TEXT",
    "PADDING",
    "TEXT_NAMES",
    "UNKNOWN",
    "Adding",
    "Bag",
    "Bags",
    "Batch",
    "BatchSource",
    "Brackets",
    "BracketsInCode",
    "Bucketed",
    "Characters",
    "Copy",
    "DataSource",
    "Encoded",
    "Encoding",
    "Examples",
    "Exercise",
    "ExerciseKind",
    "ExerciseSource",
    "Files",
    "Glued",
    "Header",
    "Interleaved",
    "Labelled",
    "LabelledText",
    "Labels",
    "Layout",
    "Line",
    "NgramVocabulary",
    "Pair",
    "Paired",
    "PairedExamples",
    "Paths",
    "Question",
    "Reader",
    "Recall",
    "RepeatCopy",
    "Reverse",
    "Row",
    "RowsInMemory",
    "Sample",
    "Sentence",
    "Sequences",
    "Sort",
    "Spelling",
    "Stories",
    "Story",
    "StoryBatches",
    "StoryExamples",
    "Summary",
    "TokenFile",
    "Tokens",
    "Units",
    "Vectors",
    "Vocabulary",
    "Window",
    "Windows",
    "WordSplits",
    "are_files",
    "code_depths",
    "count_evaluated",
    "depths",
    "evaluation_batches",
    "extend_questions",
    "find_column",
    "find_files",
    "guess_text_and_label",
    "is_stream",
    "layout_lines",
    "merge_questions",
    "name_of",
    "pairs_of_rows",
    "questions_of_rows",
    "read_lines",
    "read_pairs",
    "read_questions",
    "read_rows",
    "read_sentences",
    "read_stories",
    "read_text",
    "refuse_empty",
    "rows_in_memory",
    "sentences_of_rows",
    "shared_wordings",
    "split",
    "split_words",
    "stories_of_rows",
    "story_words",
    "tag_columns",
    "token_array",
    "wording_key",
]

_HOME = {
    name: module
    for module, names in {
        "algorithms": "Adding Copy Exercise ExerciseKind ExerciseSource Recall RepeatCopy Reverse Sort",
        "batches": "IGNORED Batch Characters Labelled Paired Tokens Vectors Window",
        "brackets": "Brackets BracketsInCode code_depths depths",
        "examples": "Examples PairedExamples Sequences refuse_empty",
        "files": "Layout Paths Reader find_files is_stream name_of",
        "in_memory": "DataSource Files RowsInMemory are_files rows_in_memory",
        "labelled": "LABEL_NAMES TEXT_NAMES LabelledText",
        "labels": "Labels",
        "ngrams": "LONGEST_TEXT Bag Bags NgramVocabulary split_words",
        "pairs": "Pair pairs_of_rows read_pairs",
        "questions": (
            "Question extend_questions merge_questions questions_of_rows read_questions shared_wordings wording_key"
        ),
        "rows": "Header Row find_column guess_text_and_label read_rows",
        "sentences": "CONLLU_COLUMNS Glued Sentence read_sentences sentences_of_rows tag_columns",
        "sources": "BatchSource Bucketed Encoded Interleaved Windows count_evaluated evaluation_batches",
        "spelling": "Spelling",
        "stories": "Story read_stories stories_of_rows story_words",
        "story_batches": "Stories StoryBatches StoryExamples",
        "summary": "Sample Summary layout_lines",
        "text": "Line read_lines read_text",
        "token_file": "TokenFile token_array",
        "vocabulary": "END PADDING UNKNOWN Encoding Units Vocabulary",
        "splitting": "split",
        "word_splits": "WordSplits",
    }.items()
    for name in names.split()
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
