"""What the project claims of its intervals and tests, to be measured by simulation."""
