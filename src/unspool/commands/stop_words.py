"""Frequent English words that say little about what a sentence asks for."""

from __future__ import annotations

__all__ = ["STOP_WORDS"]

STOP_WORDS = frozenset((
    "a", "about", "all", "am", "an", "and", "any", "are", "aren't", "as", "at", "be", "been", "but", "by", "can",
    "can't", "could", "did", "didn't", "do", "does", "doesn't", "don't", "for", "from", "had", "has", "have", "he",
    "her", "here", "hers", "hey", "him", "his", "how", "how's", "i", "i'd", "i'll", "i'm", "i've", "if", "in", "into",
    "is", "isn't", "it", "it's", "its", "let", "let's", "may", "me", "mine", "my", "no", "not", "now", "of", "off",
    "ok", "okay", "on", "onto", "or", "our", "out", "please", "shall", "she", "should", "so", "some", "than", "thank",
    "thanks", "that", "that's", "the", "their", "them", "then", "there", "there's", "these", "they", "they're", "this",
    "those", "to", "too", "um", "us", "was", "we", "we're", "we've", "were", "what", "what's", "when", "when's",
    "where", "where's", "which", "who", "who's", "why", "will", "with", "would", "yes", "you", "you're", "your",
))  # fmt: skip
