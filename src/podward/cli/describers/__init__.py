"""What `podward describe` prints, one module a kind. Pure: an object, its events and the time, to text."""
