"""Train, look inside and ship sequence models on your own data."""
