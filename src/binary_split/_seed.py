"""The five public names of the original module, thin over the parts below.

Imports inside the functions are on purpose: ``import binary_split`` stays cheap.
"""
