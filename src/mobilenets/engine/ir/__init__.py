"""The typed graph that every front end makes, and a slow numpy twin of each of its nodes."""
