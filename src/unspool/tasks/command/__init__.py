"""Command understanding: intents and slots of a sentence, and refusal of what is no command."""
