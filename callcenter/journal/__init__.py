"""The journal: whole activations in one SQLite file with one writer, and what lies beside them."""
