"""What procedures tell: reasons, warnings, and the cells of a sentence."""
