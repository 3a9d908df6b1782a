"""Decisions without I/O and without a clock: templates, message parts, when and whether to send."""
