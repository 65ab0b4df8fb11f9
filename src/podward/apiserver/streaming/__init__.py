"""exec, attach and port-forward: what happens on a connection once it has left HTTP.

Two roads lead here, a WebSocket and an upgrade to SPDY/3.1; what is said on them is the same.
"""
