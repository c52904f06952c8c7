"""Speed against peers, in one run on one machine: ratios of medians, never a verdict."""
