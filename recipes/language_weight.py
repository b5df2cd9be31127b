#!/usr/bin/env python3
"""Choose the weight and bonus of a transcriber's language model on validation data.

    python recipes/language_weight.py an4-model work/an4/valid.tsv work/an4/train.txt

prints the word error rate of each weight and bonus, and the flags of the best one.
"""

from __future__ import annotations

import argparse
import itertools

import unspool
from unspool.tasks.transcribe.error_rates import count_errors, words_of
from unspool.tasks.transcribe.hearing import Knowledge

WEIGHTS = (0.3, 0.5, 1.0, 1.5)
BONUSES = (0.0, 1.5, 3.0, 4.5)
ORDERS = (2, 3)


def main() -> None:
    """Print a table of word error rates, in percent."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="model folder")
    parser.add_argument("valid", help="validation data")
    parser.add_argument("text", help="text for the language model, a sentence a line")
    parser.add_argument("--beam", type=int, default=16)
    arguments = parser.parse_args()
    model = unspool.load(arguments.model)
    examples = model._read(arguments.valid)
    encoded = model.fitted.encode(examples)
    right = [words_of(model.fitted.normal(text)) for text in examples.transcripts]
    decoding = model.settings.decoding.replace(search="beam", beam=arguments.beam, best=1)
    rates = {}
    for order, weight, bonus in itertools.product(ORDERS, WEIGHTS, BONUSES):
        values = {"lm": arguments.text, "lm_order": order, "lm_weight": weight, "lm_bonus": bonus}
        knowledge = Knowledge.read(model.settings.hearing.replace(**values))
        found = model._search(model.model, encoded, decoding, knowledge)
        rate = count_errors(right, [words_of(model._best_text(each)) for each in found]).rate
        rates[order, weight, bonus] = rate
        print(f"order {order}  weight {weight:g}  bonus {bonus:g}  wer {100 * rate:.2f} %", flush=True)
    order, weight, bonus = min(rates, key=lambda key: rates[key])
    print(f"--lm {arguments.text} --lm-order {order} --lm-weight {weight:g} --lm-bonus {bonus:g}")


if __name__ == "__main__":
    main()
