"""The networks, as plain torch modules built from the papers' tables."""
