"""Alignment and helpfulness at many strengths from few forward passes."""
