"""Processes of this machine, for every runtime whose containers are such: spawned, entered, awaited."""
