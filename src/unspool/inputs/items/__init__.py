"""Input of items: histories of what a person watched, bought or heard, with titles for people."""
