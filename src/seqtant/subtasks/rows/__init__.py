"""Problems with their steps as rows: read, checked, and written as text."""
