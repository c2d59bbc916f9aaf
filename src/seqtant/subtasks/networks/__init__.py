"""Networks that learn compound tasks, and what their gradients say."""
