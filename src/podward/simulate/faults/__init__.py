"""What goes wrong in a simulation: dice at the edges of the cluster, a clock that jumps, and a schedule."""
