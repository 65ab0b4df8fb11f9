"""What happens to a request between decoding and storing: plug-ins that change it, then plug-ins that refuse it."""
