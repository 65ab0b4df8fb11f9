"""What a manifest's probes promise and where they go wrong, told without running it. Pure."""
