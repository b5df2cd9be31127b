"""From files to batches: readers, vocabularies, encoded examples and the order they come in."""

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
from unspool.data.batches import IGNORED, Batch, Characters, Labelled, Paired, Tokens, Window
from unspool.data.brackets import Brackets, BracketsInCode, code_depths, depths
from unspool.data.examples import Examples, PairedExamples, Sequences, refuse_empty, split
from unspool.data.files import Paths, Reader, find_files
from unspool.data.labels import Labels
from unspool.data.ngrams import LONGEST_TEXT, Bag, Bags, NgramVocabulary, split_words
from unspool.data.pairs import Pair, read_pairs
from unspool.data.questions import Question, merge_questions, read_questions
from unspool.data.rows import Header, Row, find_column, guess_text_and_label, read_rows
from unspool.data.sentences import CONLLU_COLUMNS, Sentence, read_sentences
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
from unspool.data.stories import Stories, Story, StoryBatches, StoryExamples, read_stories, story_words
from unspool.data.text import Line, read_lines, read_text
from unspool.data.token_file import TokenFile, token_array
from unspool.data.vocabulary import END, PADDING, UNKNOWN, Encoding, Units, Vocabulary

__all__ = [
    "CONLLU_COLUMNS",
    "END",
    "IGNORED",
    "LONGEST_TEXT",
    "PADDING",
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
    "Encoded",
    "Encoding",
    "Examples",
    "Exercise",
    "ExerciseKind",
    "ExerciseSource",
    "Header",
    "Interleaved",
    "Labelled",
    "Labels",
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
    "Sentence",
    "Sequences",
    "Sort",
    "Spelling",
    "Stories",
    "Story",
    "StoryBatches",
    "StoryExamples",
    "TokenFile",
    "Tokens",
    "Units",
    "Vocabulary",
    "Window",
    "Windows",
    "code_depths",
    "count_evaluated",
    "depths",
    "evaluation_batches",
    "find_column",
    "find_files",
    "guess_text_and_label",
    "merge_questions",
    "read_lines",
    "read_pairs",
    "read_questions",
    "read_rows",
    "read_sentences",
    "read_stories",
    "read_text",
    "refuse_empty",
    "split",
    "split_words",
    "story_words",
    "token_array",
]
