"""What guests and staff send and are answered (`http`), and what the feedback service keeps (`values`)."""
