"""One file per verb: configuration in, result out."""
