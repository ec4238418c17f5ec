"""The cases: each a function of the world, named in its module's CASES."""
