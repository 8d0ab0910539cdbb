"""How data for embeddings lies on disk: classes, queries and galleries, lists of pairs."""
