"""Stand-ins for other companies' services, for the demo and the tests: the same protocol on a real socket."""
