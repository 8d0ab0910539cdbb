"""The commands about vectors of images: `embed`, `search`, `duplicates` and `verify`."""
