"""Every SQL statement of the feedback service, by what it is about."""
