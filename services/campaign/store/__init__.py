"""Every SQL statement of the campaign service, by what it is about."""
