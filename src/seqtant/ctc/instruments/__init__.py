"""One file per verb of this room: predict, measure, compare, record."""
