"""Ways by which messages leave: accounts, one protocol, and an adapter for each provider."""
