"""What loyalty keeps (`accounts`), what it is asked and answers (`http`). Pure data."""
