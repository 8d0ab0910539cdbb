"""From somebody's file to the typed graph: one folder for each file format, and what they share."""
