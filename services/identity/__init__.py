"""Cafes, branches, people and their access, and the keys of tills."""
