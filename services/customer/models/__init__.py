"""What staff ask and are answered, and the values that rules, store and handlers pass on."""
