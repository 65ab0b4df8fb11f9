"""How objects look as rows of a table: pure functions `(object, now) -> cells`, one file a kind."""

from podward.apiserver.printers.table import printer_for, table_of

__all__ = ["printer_for", "table_of"]
