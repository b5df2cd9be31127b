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
brush, printer paper, sourdough, macaroni and cheese, salt and vinegar crisps, ham, turkey, sausages, tuna, prawns,
cabbage, a cauliflower, broccoli, courgettes, peppers, sweetcorn, celery, leeks, beetroot, avocados, mangoes, cherries,
raspberries, melon, basil, cinnamon, maple syrup, ketchup, mayonnaise, soy sauce, rice noodles, crackers, muesli,
almonds, raisins, popcorn, lemonade, apple juice, gin, tea bags, double cream, feta, mozzarella, cheddar, bagels,
tortillas, muffins, baking powder, yeast, self-raising flour, semi-skimmed milk, sugar-free gum, cling film, sponges,
bleach, fabric softener, deodorant, conditioner, hand cream, cotton buds, tissues, floss, vitamins, aspirin, glue,
nails, string, a notebook, pens, a birthday card, wrapping paper, flowers, compost, bird seed, sandals, a raincoat, swim
trunks, a phone charger, a passport, sunglasses, a towel, hiking boots, pyjamas, a sleeping bag, headphones, a guide
book, underwear, a scarf, shorts, a hair brush, plug adapters, t-shirts, a tent, insect spray, playing cards
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
_EVENTS = """
pasta, the pasta, the eggs, an egg, my tea, the tea, rice, the oven, the washing, the laundry, a nap, my nap, yoga,
dinner, lunch, the meeting, the workout, push ups, squats, stretching, piano practice, reading, reading time, studying,
a break, the break, the kids, screen time, the pizza, the cake, the bread dough, the potatoes, the roast, the chicken,
the soup, a run, meditation, cleaning, the dishes, the sauce, the face mask, the parking meter, the call, the game,
a round of chess, the hair dye, the steak, spelling practice, the sprinkler
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
_SUBJECTS = """
the meeting, the car, the landlord, my locker, the spare key, the parcel, the wifi password, the boiler, our flight,
the train, the dentist, anna, tom, the new neighbour, my shoe size, the rent, the recipe, the cake, the bike lock, the
reference number, the doctor, grandma, the garage, the best pizza in town, my boss, the school trip, the printer, that
restaurant, the blue paint, the gate code, the concert, his birthday, her address, the heating bill, the cat
"""
_SAYINGS = """
is {number}, is on {day}, moved to {day}, starts at {time}, leaves from platform {number}, is behind the shelf, likes
dark chocolate, needs two eggs and half the butter, is allergic to nuts, lives at {number} oak street, costs {number}
euros, wants to see us on {day}, is parked on level {number}, still owes me {number} pounds, was really good, closes at
{time}, has a new phone, is with the neighbours, comes on {day} after lunch, must be paid by {day}, works best with a
little salt, takes about {number} minutes, arrives at {time} at gate {number}, said no, called about the invoice
"""
_NOTIONS = """
idea for a song about the sea, gift idea for mum a blue scarf, never trust the forecast, ask {name} about the contract,
great book the old man and the sea, i parked near the south exit, we need a bigger table, i left my umbrella on the
train, gate {number} seat {number}, room {number} on the second floor, the plot twist is that the butler did it, try
the soup at the corner place, we owe {name} {number} euros, i promised {name} a postcard, he who waits wins, no more
coffee after {time}, licence plate {number}, blood type is zero negative, flat tyre on the left
"""
_FILLING = {
    "number": "12, 24, 204, seven, forty, 3b, 17, nine, 4821",
    "day": "monday, tuesday, wednesday, thursday, friday, saturday, sunday, the 3rd of may, june the ninth",
    "time": "eight, noon, half past six, 7:30, 10 am, quarter to nine, 18:05",
    "name": "anna, tom, maria, the landlord, grandma, priya, my sister, sam",
}
_ADJECTIVES = (
    "big, small, fresh, cheap, old, new, red, blue, green, organic, frozen, spare, two, three, some, a few, more"
)
_AMOUNTS = (
    "a bag of, a box of, a jar of, a bottle of, two packs of, a tin of, three cans of, a kilo of, 500 g of, a pair of, "
    "some more, one, 6"
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


_SUBJECT_LIST, _SAYING_LIST, _NOTION_LIST = _split(_SUBJECTS), _split(_SAYINGS), _split(_NOTIONS)
_FILLING_LISTS = {name: _split(text) for name, text in _FILLING.items()}

TOPICS: dict[str, tuple[str, ...]] = {
    "items": _split(_ITEMS),
    "tasks": _split(_TASKS),
    "events": _split(_EVENTS),
    "names": _split(_NAMES),
    "places": _split(_PLACES),
    "media": _split(_MEDIA),
    "statements": tuple(
        f"{subject} {_SAYING_LIST[index % len(_SAYING_LIST)]}" for index, subject in enumerate(_SUBJECT_LIST)
    ),
}
"""Phrases by topic; the topic `any` draws from all."""

_TOPIC_WORDS = {
    "items": "item items thing things product products food ingredient ingredients shopping groceries article",
    "statements": "note notes memo text message body fact thought",
    "tasks": "task tasks todo reminder reminders what subject title label chore job",
    "events": "event events activity activities occasion",
    "names": "name names person people who contact contacts recipient to sender friend caller user",
    "places": "place places city town location address destination where station country street area",
    "media": "song songs music artist album playlist track station_name podcast film movie query media band radio book",
}
_AMOUNT_LIST = _split(_AMOUNTS)
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
    if topic == "statements":
        return _statement(random)
    phrase = random.choice(TOPICS[topic])
    combine = random.random()
    if topic == "items" and combine < 0.4:
        first = phrase.removeprefix("a ")
        if combine < 0.1:
            return f"{random.choice(_AMOUNT_LIST)} {first}"
        return random.choice((f"{random.choice(_ADJECTIVE_LIST)} {first}", f"{phrase} {random.choice(_TIMELESS_LIST)}"))
    if topic == "tasks" and combine < 0.6:
        thing = random.choice((random.choice(_THING_LIST), f"the {random.choice(TOPICS['items']).removeprefix('a ')}"))
        phrase = f"{random.choice(_VERB_LIST)} {thing}"
        return phrase if combine < 0.3 else f"{phrase} {random.choice(_TIMELESS_LIST)}"
    if topic == "places" and combine < 0.15:
        return f"{phrase} {random.choice(('near', 'by', 'in'))} {random.choice(TOPICS['places'])}"
    return phrase


def _statement(random: Random) -> str:
    """Draw a statement such as people note down: `the train leaves from platform 12`."""
    if random.random() < 0.15:
        return sample_phrase("tasks", random)
    if random.random() < 0.3:
        text = random.choice(_NOTION_LIST)
    else:
        text = f"{random.choice(_SUBJECT_LIST)} {random.choice(_SAYING_LIST)}"
    while "{" in text:
        name = text[text.index("{") + 1 : text.index("}")]
        text = text.replace(f"{{{name}}}", random.choice(_FILLING_LISTS[name]), 1)
    if random.random() < 0.2:
        text = text.removeprefix("the ").removeprefix("my ")
    if random.random() < 0.2:
        text += f" {random.choice(_TIMELESS_LIST)}"
    return text
