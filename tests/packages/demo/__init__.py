"""A package for tests: does a pendulum swing as its length says?"""
