"""The only place that speaks HTTP to SMS providers: one module per provider, all answering in the words of `base`."""
