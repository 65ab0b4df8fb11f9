"""One folder a controller: it watches objects and writes what follows from them; none knows another."""
