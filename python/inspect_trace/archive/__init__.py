"""The archive: trace logs shipped to an object store, by a process of their own."""
