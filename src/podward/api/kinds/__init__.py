"""Kinds that no library has: one module a group and version, named as lightkube-models names its own."""
