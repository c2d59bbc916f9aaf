"""Tasks that split into steps: bit-subset parity, sums, addition with carries, any circuit of table look-ups."""
