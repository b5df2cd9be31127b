"""Grammar and vocabulary of the generated agreement sentences.

Nouns have kinds, so that sentences make sense: people feed animals, airlines cancel flights. You may change or add any
line. No determiner, adjective, preposition or adverb here reveals the number of the noun beside it.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ADVERBS", "KINDS", "OPENINGS", "PREPOSITIONS", "VERBS", "Kind", "Noun", "Opening", "Verb"]


class Noun(NamedTuple):
    """A noun in both numbers."""

    singular: str
    plural: str


class Verb(NamedTuple):
    """A transitive verb; `ing` is empty where it has no progressive (`owning` a house)."""

    base: str
    third: str
    past: str
    ing: str
    participle: str


class Kind(NamedTuple):
    """Nouns of one kind, with their modifiers and predicates."""

    nouns: tuple[Noun, ...]
    determiners: tuple[str, ...]
    adjectives: tuple[str, ...]
    be: tuple[str, ...]
    """Ends of a sentence after is/are/was/were."""
    have: tuple[str, ...]
    """Ends of a sentence after has/have."""
    act: tuple[tuple[str, str], ...]
    """Intransitive verbs: third person, base."""
    who: str
    """The relative pronoun for nouns of this kind."""


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _kind(nouns: str, adjectives: str, be: str, have: str, act: str = "", of: str = "", who: str = "that") -> Kind:
    pairs = [Noun(*pair.split("/")) for pair in nouns.split()]
    return Kind(
        nouns=tuple(pairs),
        determiners=("the", *of.split()),
        adjectives=tuple(adjectives.split()),
        be=_phrases(be),
        have=_phrases(have),
        act=tuple((third, base) for third, _, base in (each.partition("/") for each in act.split())),
        who=who,
    )


def _verbs(text: str) -> tuple[Verb, ...]:
    """One verb per word: base/third/past/ing, and the participle where it differs from the past."""
    verbs = []
    for word in text.split():
        base, third, past, ing, *participle = word.split("/")
        verbs.append(Verb(base, third, past, ing, participle[0] if participle else past))
    return tuple(verbs)


KINDS = {
    "person": _kind(
        "teacher/teachers doctor/doctors farmer/farmers pilot/pilots student/students neighbour/neighbours "
        "guard/guards nurse/nurses lawyer/lawyers guest/guests tourist/tourists "
        "singer/singers child/children man/men woman/women",
        "young old tall friendly",
        "tired, happy, busy, late, famous, ready, nervous",
        "left, arrived, gone home",
        "smiles/smile works/work sings/sing laughs/laugh travels/travel",
        of="our their",
        who="who",
    ),
    "animal": _kind(
        "dog/dogs cat/cats horse/horses bird/birds mouse/mice goose/geese",
        "young old grey little",
        "hungry, asleep, quiet, afraid",
        "escaped, run away, been fed",
        "sleeps/sleep bites/bite",
        of="our their",
    ),
    "thing": _kind(
        "key/keys letter/letters picture/pictures book/books box/boxes cup/cups lamp/lamps bag/bags coat/coats "
        "ticket/tickets map/maps clock/clocks knife/knives",
        "old new small red",
        "missing, broken, lost, expensive, dirty",
        "vanished, been found, been sold",
        of="our their",
    ),
    "furniture": _kind(
        "table/tables shelf/shelves chair/chairs desk/desks bed/beds",
        "old new small long",
        "heavy, broken, expensive, dirty",
        "been moved, been sold, been painted",
        of="our their",
    ),
    "building": _kind(
        "house/houses church/churches tower/towers bridge/bridges station/stations garden/gardens "
        "farm/farms shop/shops",
        "old new small white",
        "empty, closed, quiet, beautiful",
        "been sold, been closed, been painted",
    ),
    "town": _kind(
        "city/cities village/villages island/islands harbour/harbours valley/valleys",
        "old small green",
        "quiet, beautiful, famous, crowded",
        "changed, grown, become famous",
    ),
    "company": _kind(
        "airline/airlines company/companies school/schools bank/banks museum/museums hotel/hotels club/clubs",
        "old new small foreign",
        "closed, rich, famous, in trouble",
        "closed, failed, moved",
        "opens/open",
    ),
    "event": _kind(
        "concert/concerts meeting/meetings lesson/lessons party/parties race/races",
        "short first new",
        "long, popular, free, boring, over",
        "begun, ended, been cancelled",
    ),
    "trip": _kind(
        "flight/flights train/trains bus/buses ferry/ferries tour/tours",
        "new cheap first",
        "full, late, early, cheap",
        "left, arrived, been cancelled, been delayed",
    ),
}

# Prepositions between kinds of nouns: head kinds, prepositions, object kinds.
PREPOSITIONS: tuple[tuple[str, str, str], ...] = (
    ("person", "near, behind, beside", "person animal building furniture"),
    ("person", "with", "thing animal"),
    ("person", "from", "town company"),
    ("animal", "near, behind, beside", "person building animal furniture"),
    ("animal", "from", "town"),
    ("thing", "on, under, beside", "furniture"),
    ("thing", "from, for", "person company"),
    ("furniture", "near, beside, behind", "furniture thing"),
    ("furniture", "for", "person company"),
    ("building", "near, behind, opposite", "building company town"),
    ("town", "near", "town building"),
    ("company", "near, behind, opposite", "building"),
    ("event", "for", "person"),
    ("event", "at", "company"),
    ("event", "with", "person"),
    ("trip", "to, from", "town"),
    ("trip", "for", "person"),
)

# Transitive verbs: subject kinds, object kinds, verbs.
VERBS: tuple[tuple[str, str, tuple[Verb, ...]], ...] = (
    (
        "person",
        "person",
        _verbs(
            "help/helps/helped/helping visit/visits/visited/visiting invite/invites/invited/inviting "
            "follow/follows/followed/following admire/admires/admired/ know/knows/knew//known"
        ),
    ),
    (
        "person",
        "thing furniture",
        _verbs("buy/buys/bought/buying move/moves/moved/moving sell/sells/sold/selling want/wants/wanted/"),
    ),
    (
        "person",
        "building town company",
        _verbs("visit/visits/visited/visiting describe/describes/described/describing love/loves/loved/"),
    ),
    (
        "person",
        "event trip",
        _verbs("plan/plans/planned/planning miss/misses/missed/ enjoy/enjoys/enjoyed/enjoying"),
    ),
    (
        "person",
        "animal",
        _verbs("feed/feeds/fed/feeding follow/follows/followed/following own/owns/owned/ love/loves/loved/"),
    ),
    (
        "animal",
        "person animal",
        _verbs("follow/follows/followed/following watch/watches/watched/watching fear/fears/feared/"),
    ),
    (
        "company",
        "trip event",
        _verbs(
            "cancel/cancels/cancelled/cancelling plan/plans/planned/planning offer/offers/offered/offering "
            "announce/announces/announced/announcing"
        ),
    ),
    ("company", "person", _verbs("hire/hires/hired/hiring pay/pays/paid/paying invite/invites/invited/inviting")),
    ("company", "thing furniture building", _verbs("sell/sells/sold/selling own/owns/owned/ buy/buys/bought/buying")),
    (
        "thing event trip",
        "person",
        _verbs("surprise/surprises/surprised/ please/pleases/pleased/ annoy/annoys/annoyed/"),
    ),
    ("building", "building town", _verbs("face/faces/faced/ overlook/overlooks/overlooked/")),
    ("trip", "town", _verbs("leave/leaves/left/leaving reach/reaches/reached/")),
)

ADVERBS = ("often", "usually", "rarely", "always", "sometimes", "never")


class Opening(NamedTuple):
    """A phrase before the subject, so that the subject is not the first noun."""

    subjects: str
    """Kinds of subjects that the opening fits."""
    before: str
    """Words before the noun of the opening."""
    nouns: str
    """Kinds of that noun."""
    after: tuple[str, ...]
    """Choices of words after the noun."""
    past: bool
    """Whether the sentence must be in the past tense."""


_ANY = " ".join(KINDS)
OPENINGS = (
    Opening("person animal", "after", "event", ("",), False),
    Opening("person animal", "before", "event trip", ("",), False),
    Opening("person animal building company furniture", "in", "town", ("",), False),
    Opening("person animal thing building", "near", "building company", ("",), False),
    Opening(_ANY, "according to", "person company", ("",), False),
    Opening(_ANY, "when", "person", ("arrived", "left"), True),
    Opening("person animal building company event", "when", "trip", ("arrived", "left"), True),
    Opening(_ANY, "", "person", ("said", "said that", "noticed that", "heard that", "thought"), True),
    Opening(_ANY, "", "company", ("said", "said that", "announced that"), True),
    Opening(_ANY, "", "thing event", ("showed that", "proved that"), True),
)
