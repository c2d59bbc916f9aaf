"""A room for tests: does a pendulum swing as its length says?"""
