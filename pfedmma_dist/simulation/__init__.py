"""Simulations as objects: what the commands run, for programs and notebooks.

`pfedmma_dist.Simulation` is the door; the other modules of this folder are its parts.
"""
