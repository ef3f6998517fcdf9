"""File formats of nuclei: one module or room each, listed in ``registry``."""
