"""Kinds as pure data: what they are called, how they are read, completed, checked and written."""
