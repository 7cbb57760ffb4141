"""Live interactions: facts about them, the book that folds those facts, and what acts on them."""
