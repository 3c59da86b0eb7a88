"""What the benchmark scripts share: word search over OCR text, and how their figures are kept."""
