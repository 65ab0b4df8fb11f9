"""What runs containers, behind one protocol shaped like CRI."""
