"""The rig: what the interop cases and the benchmark need to start servers on loopback, talk to them and look at what arrived.

It uses the standard library and Debian's programs only, keeps everything under one temporary folder, and never touches
the system's own configuration.
"""
