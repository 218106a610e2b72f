"""The documentation's examples: the pages as tests see them, and the logs that are read."""
