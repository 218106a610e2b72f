"""Logs in an object store: how they get there, and what is made of them."""
