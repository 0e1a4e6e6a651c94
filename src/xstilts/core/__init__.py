"""Foundations that know nothing of the domain: errors, exit codes, whole files, digests, seeds, exact reading."""
