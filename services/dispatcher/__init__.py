"""The dispatcher: HTTP ingress, dispatch Workers, the registry."""
