"""What the feedback service does: reactions to events, and what guests and staff ask of it."""
