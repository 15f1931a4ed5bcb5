"""Canary: zero-shot CLIP on known data sets, beside what has been published for it."""
