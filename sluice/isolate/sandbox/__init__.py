"""What confines a Worker's process, beside workerd itself (SECURITY.md, "Postures")."""
