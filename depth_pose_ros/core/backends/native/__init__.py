"""Everything after the FCN (proposals, MatchNet, tree inference, decoding) in C++, for CPUs.

``setup.py`` compiles it once per instruction set.  Without a C++ compiler torch does this work.
"""
