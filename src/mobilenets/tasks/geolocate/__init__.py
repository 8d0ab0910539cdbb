"""Where a photograph was taken."""
