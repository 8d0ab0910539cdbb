"""Training: a recipe, a loop in plain sight, and runs that survive being killed."""
