"""From files to batches: readers, vocabularies, encoded examples and the order they come in."""

from unspool.data.batches import IGNORED, Batch, Characters, Labelled, Paired, Tokens, Window
from unspool.data.examples import Examples, PairedExamples, Sequences, refuse_empty, split
from unspool.data.files import Paths, Reader, find_files
from unspool.data.labels import Labels
from unspool.data.ngrams import LONGEST_TEXT, Bag, Bags, NgramVocabulary, split_words
from unspool.data.pairs import Pair, read_pairs
from unspool.data.questions import Question, merge_questions, read_questions
from unspool.data.rows import Header, Row, find_column, guess_text_and_label, read_rows
from unspool.data.sentences import CONLLU_COLUMNS, Sentence, read_sentences
from unspool.data.sources import BatchSource, Bucketed, Interleaved, Windows, evaluation_batches
from unspool.data.spelling import Spelling
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
    "Bag",
    "Bags",
    "Batch",
    "BatchSource",
    "Bucketed",
    "Characters",
    "Encoding",
    "Examples",
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
    "Row",
    "Sentence",
    "Sequences",
    "Spelling",
    "TokenFile",
    "Tokens",
    "Units",
    "Vocabulary",
    "Window",
    "Windows",
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
    "read_text",
    "refuse_empty",
    "split",
    "split_words",
    "token_array",
]
