"""The service of the recipe `service.py`: a file to copy."""
