//! Sensor selector expressions: parse, evaluate, index.
