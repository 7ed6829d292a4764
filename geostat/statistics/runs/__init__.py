"""From labelled arrays to one value per run, and what is wrong with a sample."""
