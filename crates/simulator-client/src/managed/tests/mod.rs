//! The managed layer against scripted servers, over a network in memory and under a paused clock.

mod budget;
mod closing;
mod failures;
mod flow;
mod keepalive;
mod peer;
mod reconnect;
