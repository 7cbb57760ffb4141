"""Written conversations: what was said by whom, flows in text, queue and agents, for every medium that is written."""
