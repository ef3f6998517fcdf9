"""The napari plugin: shows the nuclei of H&E slides as class-coloured points and edits them."""

from __future__ import annotations
