"""Documents by key, with revisions and watches. Knows no kind and no JSON."""
