"""OME-Zarr: folders, zip archives and stores on the network."""
