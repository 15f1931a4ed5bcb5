"""What a user may set: the keys, how files and words are merged into them, and what they decide."""
