"""Decisions of identity: who may do what to whom, and how long things hold."""
