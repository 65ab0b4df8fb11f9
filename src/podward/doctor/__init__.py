"""What this machine has for running Pods, what it lacks, and what mends it."""
