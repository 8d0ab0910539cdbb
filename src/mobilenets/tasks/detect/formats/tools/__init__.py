"""Files of boxes that annotation tools write in forms of their own."""
