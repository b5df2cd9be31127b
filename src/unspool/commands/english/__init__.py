"""Parsers of English numbers, durations, clock times, dates and datetimes, from words or digits."""
