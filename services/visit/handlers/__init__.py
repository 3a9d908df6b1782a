"""The use cases of the visit service."""
