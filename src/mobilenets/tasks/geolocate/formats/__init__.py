"""How positions of photographs lie on disk: lists, GeoJSON, names, EXIF."""
