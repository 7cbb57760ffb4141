"""E-mail: taken in by SMTP or fetched by IMAP, read in a process apart, sent through a relay."""
