"""Questions about many logs, answered by many workers."""
