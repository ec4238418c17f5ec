"""The cases, one module for each program that takes part."""
