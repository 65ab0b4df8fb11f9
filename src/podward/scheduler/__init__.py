"""Binds Pods to nodes. A restart never moves a Pod: it is bound once, for life."""
