"""Several processes that serve the same address, and the one beside them that checks servers, takes orders and tells figures."""
