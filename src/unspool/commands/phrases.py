"""Everyday phrases that training sentences put into free-text slots."""

from __future__ import annotations

from random import Random

__all__ = ["TOPICS", "sample_phrase", "topic_of"]

_ITEMS = """
milk, oat milk, eggs, bread, rye bread, butter, cheese, goat cheese, yoghurt, apples, green apples, bananas, pears,
grapes, lemons, tomatoes, cherry tomatoes, potatoes, carrots, onions, spring onions, garlic, spinach, a lettuce,
mushrooms, rice, brown rice, pasta, flour, sugar, brown sugar, salt, pepper, olive oil, vinegar, mustard, honey,
strawberry jam, peanut butter, coffee, decaf coffee, green tea, orange juice, sparkling water, beer, red wine,
chocolate, dark chocolate, biscuits, crisps, ice cream, frozen peas, fish fingers, chicken, minced beef, bacon,
salmon, tofu, beans, lentils, chickpeas, olives, cereal, porridge oats, toilet paper, kitchen roll, washing powder,
dish soap, shampoo, toothpaste, a toothbrush, razor blades, soap, batteries, light bulbs, bin bags, candles, matches,
tape, stamps, envelopes, dog food, cat litter, nappies, plasters, sun cream, screws, a screwdriver, paint, a paint
brush, printer paper, sourdough, macaroni and cheese, salt and vinegar crisps
"""
_TASKS = """
water the plants, call mum, call the dentist, take out the rubbish, feed the cat, walk the dog, pay the rent, buy
flowers, pick up the kids, send the report, reply to anna, book a table, renew the passport, take my pills, check the
oven, turn off the oven, do the laundry, hang up the washing, clean the windows, vacuum the living room, mow the lawn,
charge the phone, back up the photos, return the library books, post the letter, order new filters, change the sheets,
defrost the chicken, stretch for a while, drink some water, go to bed, leave for the station, cancel the subscription,
fix the bike, empty the dishwasher, write to grandma, wish tom a happy birthday, print the tickets, bring the
umbrella, lock the back door, ring the plumber about the leak, check the mail, prepare the slides for monday, get the
car washed, sign the contract, read a chapter
"""
_NAMES = """
anna, ben, carlos, dana, eva, felix, grace, hassan, ines, jack, kim, lena, maria, noah, olga, paul, priya, quentin,
rosa, sam, tom, uma, victor, wei, yusuf, zoe, mum, dad, grandma, my brother, my sister, aunt lucy, uncle joe, doctor
smith, doctor garcia, mrs jones, mr patel, the landlord, the plumber, the office, my boss, anna and ben, the
neighbours, john miller, emma brown
"""
_PLACES = """
london, paris, berlin, rome, madrid, new york, san francisco, tokyo, lagos, mumbai, sydney, the airport, the station,
the office, the gym, the library, the supermarket, the dentist, home, work, school, the park, the city centre, main
street, the old bridge, the town hall, the swimming pool, the cinema, the kitchen, the garage, upstairs, the beach,
north station, oxford
"""
_MEDIA = """
some jazz, quiet piano music, the news, radio one, the latest podcast, bach, the beatles, songs by adele, my running
playlist, dinner music, the weather report, rain sounds, a bedtime story, the cello suites, bohemian rhapsody,
yesterday by the beatles, something calm, classic rock, the second album, disco hits, bayern eins, world service, blue
in green, the four seasons
"""
_ADJECTIVES = (
    "big, small, fresh, cheap, old, new, red, blue, green, organic, frozen, spare, two, three, some, a few, more"
)
_VERBS = (
    "check, buy, call about, fix, clean, bring, find, return, move, sort out, ask about, pick up, think about, send"
)
_THINGS = (
    "the bike, the car, the heating, the invoice, the keys, the garden, the tickets, the printer, the parcel, the roof"
)
_TIMELESS = "before lunch, after work, on the way home, for the party, with anna, for dad, at the market, for the trip"


def _split(text: str) -> tuple[str, ...]:
    return tuple(part for part in (" ".join(part.split()) for part in text.split(",")) if part)


TOPICS: dict[str, tuple[str, ...]] = {
    "items": _split(_ITEMS),
    "tasks": _split(_TASKS),
    "names": _split(_NAMES),
    "places": _split(_PLACES),
    "media": _split(_MEDIA),
}
"""Phrases by topic; the topic `any` draws from all."""

_TOPIC_WORDS = {
    "items": "item items thing things product products food ingredient ingredients shopping groceries article",
    "tasks": "task tasks todo reminder reminders note notes message text memo what subject title label chore job body",
    "names": "name names person people who contact contacts recipient to sender friend caller user",
    "places": "place places city town location address destination where station country street area",
    "media": "song songs music artist album playlist track station_name podcast film movie query media band radio book",
}
_ADJECTIVE_LIST, _VERB_LIST = _split(_ADJECTIVES), _split(_VERBS)
_THING_LIST, _TIMELESS_LIST = _split(_THINGS), _split(_TIMELESS)


def topic_of(slot: str) -> str:
    """Return the topic that a slot's name suggests: `items` for `item`, `names` for `contact`; else `any`."""
    parts = {slot.lower(), *slot.lower().split("_")}
    for topic, words in _TOPIC_WORDS.items():
        if parts & set(words.split()):
            return topic
    return "any"


def sample_phrase(topic: str, random: Random) -> str:
    """Draw a phrase of a topic: one of the list, or a combination that no list holds."""
    if topic not in TOPICS or random.random() < 0.1:  # a slot's name is a hint, not a rule
        topic = random.choice(tuple(TOPICS))
    phrase = random.choice(TOPICS[topic])
    combine = random.random()
    if topic == "items" and combine < 0.35:
        first = phrase.removeprefix("a ")
        return random.choice((f"{random.choice(_ADJECTIVE_LIST)} {first}", f"{phrase} {random.choice(_TIMELESS_LIST)}"))
    if topic == "tasks" and combine < 0.6:
        thing = random.choice((random.choice(_THING_LIST), f"the {random.choice(TOPICS['items']).removeprefix('a ')}"))
        phrase = f"{random.choice(_VERB_LIST)} {thing}"
        return phrase if combine < 0.3 else f"{phrase} {random.choice(_TIMELESS_LIST)}"
    if topic == "places" and combine < 0.15:
        return f"{phrase} {random.choice(('near', 'by', 'in'))} {random.choice(TOPICS['places'])}"
    return phrase
