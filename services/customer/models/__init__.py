"""What staff ask and are answered, and the shapes that rules, store and handlers pass among themselves."""
