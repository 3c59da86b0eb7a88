"""The visual tower's head and the text tower's summaries: trained on photos of damage and on pages as a whole."""
