//! The managed layer against scripted servers, over a network in memory and under a paused clock.

mod budget;
mod closing;
mod draining;
mod failures;
mod flow;
mod gate;
mod keepalive;
mod parallel;
mod peer;
mod reconnect;
