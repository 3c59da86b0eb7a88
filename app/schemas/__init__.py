"""Request and reply models: mapped from the domain, never the domain itself."""
