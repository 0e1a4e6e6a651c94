"""What can be known of hosts and links before GPU time is spent."""
