"""The command line: one small module per command, which parses, asks the core and prints."""
