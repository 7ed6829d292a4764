"""From which dose on something changes."""
