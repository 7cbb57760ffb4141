"""Flows: what a machine can serve, as data. A pure interpreter; an input in, verbs out."""
