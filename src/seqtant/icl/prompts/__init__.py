"""Tasks, their files and their prompts."""
