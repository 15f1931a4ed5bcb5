"""Faults tried on the program, counted in one table: `python -m tests.faults`."""
