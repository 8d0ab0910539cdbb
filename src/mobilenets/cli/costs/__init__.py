"""Commands that say what networks cost: `models`, `profile`."""
