"""Every SQL statement of the visit service, by what it is about."""
