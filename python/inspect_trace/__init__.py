"""Runtime tracing: what a program is doing right now, what hung, what it did when it was killed."""
