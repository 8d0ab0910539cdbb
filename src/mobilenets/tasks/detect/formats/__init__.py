"""What images with boxes can look like on disk."""
