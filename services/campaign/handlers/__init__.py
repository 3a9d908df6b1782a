"""The use cases of the campaign service: reactions to events, the sending of messages, and what staff do."""
