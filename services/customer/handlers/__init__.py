"""What the service does: reactions to events (`on_…`) and what staff ask for."""
