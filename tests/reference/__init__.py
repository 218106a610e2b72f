"""Ours beside inspect_ai's: a real evaluation's trace, logs of ours, and generated logs."""
