"""The media: one folder each, the same file names in each, never importing each other."""
