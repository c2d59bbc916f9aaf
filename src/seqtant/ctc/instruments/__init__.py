"""One file per verb: predict, measure, compare, record."""
