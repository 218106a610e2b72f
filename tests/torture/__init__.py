"""Kills a tracing program at random moments, and looks whether its log has all that it returned.

`python -m torture --help` (in `tests/`), or `make torture`.
"""
