"""One plug-in a file; their order is in `cluster.py`."""
