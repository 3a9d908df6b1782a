"""What a segment's criteria may say, what they mean in SQL, and whose birthday it is. Pure."""
