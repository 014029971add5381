//! Simulation of servers, sensors, links and disks from one seed.
