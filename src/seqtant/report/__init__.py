"""Result to terminal, JSON and one self-contained HTML page."""
