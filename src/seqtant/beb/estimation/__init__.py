"""From evidence to numbers: log(1/alpha), half-way lengths, intervals, and checks that can refuse them."""
