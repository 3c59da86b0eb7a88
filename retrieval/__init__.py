"""Claims, pages, ingestion, search and stores. Knows nothing of HTTP, torch or GPUs."""
