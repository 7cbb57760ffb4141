"""Value types and small services that every impure room shares; imports nothing of ours."""
