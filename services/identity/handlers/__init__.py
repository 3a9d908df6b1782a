"""What identity does: cafes, people, tills, sessions."""
