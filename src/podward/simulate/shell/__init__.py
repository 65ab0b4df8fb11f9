"""A POSIX shell over virtual processes: what health manifests say in `sh -c`."""
