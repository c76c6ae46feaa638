"""The outbound service: Outbound Workers and the only way to the internet."""
