"""TFLite files: the flatbuffer as checked plain data, and from it the typed graph."""
