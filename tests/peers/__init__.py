"""The whole centre, as its own processes, against telephones and a browser that know nothing of it."""
