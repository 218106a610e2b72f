"""What happens to tracing, and to the program, when the system fails: `docs/faults.md` tells."""
