"""Problems and steps of one's own, as rows of text."""
