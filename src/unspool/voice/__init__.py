"""Voice: record speech, train a recogniser of the owner's commands, hear utterances and speak replies."""
