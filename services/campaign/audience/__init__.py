"""Guests as this service knows them, and whoever of the cafe is told of unhappy ones."""
