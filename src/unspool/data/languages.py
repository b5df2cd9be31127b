"""Detection of the script and the likely language of a text, by letters and function words."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache

__all__ = ["language_of", "scripts_of"]

_READ = 2000  # characters of a text that count
_LEAST = 3  # least number of function words of a language
_WORD = re.compile(r"[^\W\d_]+")
_SCRIPTS = {
    "Greek": "\u0370-\u03ff\u1f00-\u1fff",
    "Cyrillic": "\u0400-\u052f",
    "Hebrew": "\u0590-\u05ff",
    "Arabic": "\u0600-\u06ff\u0750-\u077f",
    "Devanagari": "\u0900-\u097f",
    "Thai": "\u0e00-\u0e7f",
    "Korean": "\uac00-\ud7af\u1100-\u11ff",
    "Japanese": "\u3040-\u30ff",
    "Chinese": "\u4e00-\u9fff\u3400-\u4dbf",
}
_SCRIPT = {name: re.compile(f"[{letters}]") for name, letters in _SCRIPTS.items()}
_LATIN = re.compile("[a-zA-Z\u00c0-\u024f]")
_FUNCTION_WORDS = {
    "English": "the and of to is it that was for you with this have are not be they my but what how",
    "German": "der die das und ist nicht ich sie mit ein eine auf für den dem zu auch wie sich von es wir",
    "French": "le les et est une pas je vous dans pour que qui ce sur avec il elle nous du des au très",
    "Spanish": "el los las y una por con para que es no se su lo como más pero muy del está",
    "Italian": "il gli che è non una per di con sono della nel ma più come questo anche molto",
    "Portuguese": "os não uma com para que é do da em um por mais como mas muito você está são",
    "Dutch": "het een van en niet ik je dat zijn op voor met maar ook er wat deze naar",
}


def scripts_of(text: str) -> set[str]:
    """Return the scripts that one word mixes, such as Latin and Cyrillic; empty if no word mixes scripts."""
    if text.isascii():
        return set()
    for word in _WORD.findall(text[:_READ]):
        if word.isascii():
            continue
        scripts = {name for name in ("Greek", "Cyrillic") if _SCRIPT[name].search(word)}
        if scripts and _LATIN.search(word):
            return {*scripts, "Latin"}
    return set()


def language_of(text: str) -> str:
    """Return the likely language of a text, or its script if not Latin; empty if the text is too short to tell."""
    text = text[:_READ]
    if not text.isascii():
        letters = {name: len(pattern.findall(text)) for name, pattern in _SCRIPT.items()}
        script = max(letters, key=letters.__getitem__)
        if letters[script] > len(_LATIN.findall(text)):
            return script
    table = _languages_of_words()
    words = [word for word in text.casefold().split() if word in table]
    if len(words) < _LEAST:
        return ""
    counts = Counter(language for word in words for language in table[word])
    ranked = counts.most_common(2)
    if ranked[0][1] < _LEAST or (len(ranked) > 1 and ranked[0][1] < 2 * ranked[1][1]):
        return ""
    return ranked[0][0]


@cache
def _languages_of_words() -> dict[str, list[str]]:
    table: dict[str, list[str]] = {}
    for language, words in _FUNCTION_WORDS.items():
        for word in words.split():
            table.setdefault(word, []).append(language)
    return table
