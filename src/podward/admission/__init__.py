"""Between decoding and storing: plug-ins that change the object, then plug-ins that may refuse it."""
