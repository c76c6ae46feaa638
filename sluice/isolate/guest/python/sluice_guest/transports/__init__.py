"""HTTP libraries, so changed that what they send goes to the egress with its token."""
