"""The application: engine host, journal, live interactions, queries, command line."""
