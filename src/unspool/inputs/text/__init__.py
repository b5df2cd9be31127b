"""Texts, and sentences that come as lists of words."""
