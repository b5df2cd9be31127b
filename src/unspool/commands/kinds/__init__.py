"""Kinds of slots: how a slot's value is read from a text, found in a sentence, sampled, spoken and stored."""
