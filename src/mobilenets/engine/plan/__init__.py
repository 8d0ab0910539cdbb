"""From fused units to steps, layouts, schedules and a place in memory for everything."""
