"""Reading CSV files of any dialect, and writing them; all CSV input goes through this package."""

from muse_core.tables.header import Column
from muse_core.tables.quoting import quoting_of
from muse_core.tables.reading import CsvTable, csv_names, read_csv_table
from muse_core.tables.writing import write_csv_rows

__all__ = ["Column", "CsvTable", "csv_names", "quoting_of", "read_csv_table", "write_csv_rows"]
