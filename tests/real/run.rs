//! The whole way once: the built binary with nginx and the shop as targets; one of them breaks; what others then read
//! from CloudWatch, from the queue behind an SNS topic, and from Prometheus.

