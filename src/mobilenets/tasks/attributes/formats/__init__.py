"""How attributes lie on disk: tables, lists of tools, tags beside images."""
