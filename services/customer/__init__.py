"""Guests: who they are, what they agreed to, and the segments they are in at this moment."""
