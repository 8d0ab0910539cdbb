"""What images with masks can look like on disk."""
