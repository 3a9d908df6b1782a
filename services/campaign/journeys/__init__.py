"""Journeys: what they say, whom they take, and why a guest got what they got."""
