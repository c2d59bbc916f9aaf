"""What counts as good and bad: scorers of replies, and what corrects them."""
