"""Nuclei as GeoJSON, as QuPath reads and writes it, read as a stream."""
