"""Time, dice, queues and the arithmetic of the API: knows no Kubernetes kind."""
