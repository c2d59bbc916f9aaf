"""Networks that learn compound tasks, their files, and their gradient signal."""
