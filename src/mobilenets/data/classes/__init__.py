"""Images in a class each: which folders are parts and which are classes."""
