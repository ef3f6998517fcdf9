"""TIFF of all kinds: one reader, its pages and images, and what makers of scanners write in it."""
