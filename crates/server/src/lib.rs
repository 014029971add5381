//! The muster server: REST API, sensor gateway, tasking, streams and outputs.
