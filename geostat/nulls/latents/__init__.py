"""The update as it was before storage rounded it."""
