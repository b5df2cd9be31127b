from .algorithms import Adding, Copy, Exercise, ExerciseKind, ExerciseSource, Recall, RepeatCopy, Reverse, Sort
from .batches import (
    IGNORED,
    Batch,
    Captioned,
    Characters,
    Frames,
    Images,
    Labelled,
    Paired,
    SeriesWindows,
    Tokens,
    Transcribed,
    Vectors,
    Window,
)
from .brackets import Brackets, BracketsInCode, code_depths, depths
from .examples import Examples, PairedExamples, Sequences, refuse_empty
from .files import Layout, Paths, Reader, find_files, is_stream, name_of
from .image_names import is_image_file
from .images import FeatureGrid, Image, Picture, image_of, read_image
from .in_memory import DataSource, Files, RowsInMemory, are_files, rows_in_memory
from .labelled import LABEL_NAMES, TEXT_NAMES, LabelledText
from .labels import Labels
from .ngrams import LONGEST_TEXT, Bag, Bags, NgramVocabulary, split_words
from .pairs import Pair, pairs_of_rows, read_pairs
from .questions import (
    Question,
    extend_questions,
    merge_questions,
    questions_of_rows,
    read_questions,
    shared_wordings,
    wording_key,
)
from .rows import Header, Row, find_column, guess_text_and_label, read_rows
from .sentences import CONLLU_COLUMNS, Glued, Sentence, read_sentences, sentences_of_rows, tag_columns
from .series import Series, SeriesRow, SeriesTable
from .series_names import ID_NAMES, TIME_NAMES
from .series_tables import SeriesColumns, number_of, series_rows
from .sound_names import is_sound_file
from .sounds import FeatureFrames, Recording, Sound, read_sound, sound_of
from .sources import BatchSource, Bucketed, Encoded, Interleaved, Windows, count_evaluated, evaluation_batches
from .spelling import Spelling
from .splitting import split
from .stories import Story, read_stories, stories_of_rows, story_words
from .story_batches import Stories, StoryBatches, StoryExamples
from .summary import Sample, Summary, layout_lines
from .text import Line, read_lines, read_text
from .times import NO_TIMES, Clock, calendar_features, find_clock, parse_time, season_of
from .token_file import TokenFile, token_array
from .unlabelled import Unlabelled, read_unlabelled
from .utterances import SlotSpan, Utterance, read_utterances, utterances_of_rows
from .vocabulary import END, PADDING, UNKNOWN, Encoding, Units, Vocabulary
from .word_splits import WordSplits

__all__ = [
    "CONLLU_COLUMNS",
    "END",
    "ID_NAMES",
    "IGNORED",
    "LABEL_NAMES",
    "LONGEST_TEXT",
    "NO_TIMES",
    "PADDING",
    "TEXT_NAMES",
    "TIME_NAMES",
    "UNKNOWN",
    "Adding",
    "Bag",
    "Bags",
    "Batch",
    "BatchSource",
    "Brackets",
    "BracketsInCode",
    "Bucketed",
    "Captioned",
    "Characters",
    "Clock",
    "Copy",
    "DataSource",
    "Encoded",
    "Encoding",
    "Examples",
    "Exercise",
    "ExerciseKind",
    "ExerciseSource",
    "FeatureFrames",
    "FeatureGrid",
    "Files",
    "Frames",
    "Glued",
    "Header",
    "Image",
    "Images",
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
    "Picture",
    "Question",
    "Reader",
    "Recall",
    "Recording",
    "RepeatCopy",
    "Reverse",
    "Row",
    "RowsInMemory",
    "Sample",
    "Sentence",
    "Sequences",
    "Series",
    "SeriesColumns",
    "SeriesRow",
    "SeriesTable",
    "SeriesWindows",
    "SlotSpan",
    "Sort",
    "Sound",
    "Spelling",
    "Stories",
    "Story",
    "StoryBatches",
    "StoryExamples",
    "Summary",
    "TokenFile",
    "Tokens",
    "Transcribed",
    "Units",
    "Unlabelled",
    "Utterance",
    "Vectors",
    "Vocabulary",
    "Window",
    "Windows",
    "WordSplits",
    "are_files",
    "calendar_features",
    "code_depths",
    "count_evaluated",
    "depths",
    "evaluation_batches",
    "extend_questions",
    "find_clock",
    "find_column",
    "find_files",
    "guess_text_and_label",
    "image_of",
    "is_image_file",
    "is_sound_file",
    "is_stream",
    "layout_lines",
    "merge_questions",
    "name_of",
    "number_of",
    "pairs_of_rows",
    "parse_time",
    "questions_of_rows",
    "read_image",
    "read_lines",
    "read_pairs",
    "read_questions",
    "read_rows",
    "read_sentences",
    "read_sound",
    "read_stories",
    "read_text",
    "read_unlabelled",
    "read_utterances",
    "refuse_empty",
    "rows_in_memory",
    "season_of",
    "sentences_of_rows",
    "series_rows",
    "shared_wordings",
    "sound_of",
    "split",
    "split_words",
    "stories_of_rows",
    "story_words",
    "tag_columns",
    "token_array",
    "utterances_of_rows",
    "wording_key",
]
