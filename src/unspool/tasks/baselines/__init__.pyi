from .kneser_ney import KneserNey
from .majority import MajorityClass
from .most_frequent_tag import MostFrequentTag
from .ngrams import NgramClassifier

__all__ = ["KneserNey", "MajorityClass", "MostFrequentTag", "NgramClassifier"]
