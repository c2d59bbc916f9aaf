"""GINC, the synthetic world of Xie et al.: hidden Markov models whose in-context predictions are known exactly."""
