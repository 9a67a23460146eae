"""The operator's side: pages that tell how the servers are, and calls that change it."""
