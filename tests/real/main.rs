//! Against real, separate servers: one module for each topic, and `servers` that starts them.

#![cfg(test)]

mod cloudwatch;
mod servers;
mod sns;
