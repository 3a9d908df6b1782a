"""One-off campaigns: written, previewed, approved, and turned into messages."""
