"""The resumable build of a data set from a corpus."""
