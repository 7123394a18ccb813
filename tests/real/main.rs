//! Against real, separate servers: one module for each topic, and `servers` that starts them.
