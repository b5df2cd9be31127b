from .automaton import Automaton, Expression, compile_grammar
from .fusion import CharacterFusion, Fusion, NoFusion, WordFusion
from .grammar import GrammarFusion, GrammarUnits, Heard, hear, viterbi
from .paths import align, collapse, forward_score, greedy
from .prefix_beam import CTCHypothesis, prefix_beam_search
from .settings import HearingSettings

__all__ = [
    "Automaton",
    "CTCHypothesis",
    "CharacterFusion",
    "Expression",
    "Fusion",
    "GrammarFusion",
    "GrammarUnits",
    "Heard",
    "HearingSettings",
    "NoFusion",
    "WordFusion",
    "align",
    "collapse",
    "compile_grammar",
    "forward_score",
    "greedy",
    "hear",
    "prefix_beam_search",
    "viterbi",
]
