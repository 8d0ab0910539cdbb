"""The networks: the papers' tables, lists of layers and costs without torch; modules with it."""
