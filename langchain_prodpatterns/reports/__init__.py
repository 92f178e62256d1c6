"""Reports as one HTML file each: no network, no script, light and dark, with tables.

They know the kernel's records and plain figures, and no pattern.
"""
