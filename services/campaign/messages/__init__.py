"""From a message that is due to one that has arrived: facts are looked up, a decision is made, and it is recorded."""
