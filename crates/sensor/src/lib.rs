//! The muster sensor: one small agent per endpoint.
