"""Settings: models, the default file, deployment files."""
