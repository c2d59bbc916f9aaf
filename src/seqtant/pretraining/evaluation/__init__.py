"""What related text gains, measured on models."""
