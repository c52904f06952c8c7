"""The test bed: container images made offline and private container engines, for tests, demo and bench.

No part of the product imports it, and it imports no part of the product but the default image names.
"""
