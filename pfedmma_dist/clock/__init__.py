"""A virtual clock: how fast clients are, and who is there when; functions of seed and round."""
