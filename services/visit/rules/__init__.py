"""What follows from what, without looking anything up."""
