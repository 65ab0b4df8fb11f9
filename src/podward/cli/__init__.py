"""The command line: one file a verb; each is imported only when it is asked for."""
