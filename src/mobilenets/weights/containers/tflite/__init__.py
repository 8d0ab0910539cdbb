"""TFLite files: the flatbuffer as plain data, and the ways through its graph."""
