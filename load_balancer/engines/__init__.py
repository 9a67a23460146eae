"""The same balancer as others would run it: our options as a configuration of HAProxy or nginx. Texts only, but for launch.py."""
