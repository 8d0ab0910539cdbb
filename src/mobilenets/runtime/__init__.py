"""Everything between an image file and an answer in words, without torch."""
