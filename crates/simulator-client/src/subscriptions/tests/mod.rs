//! Subscriptions that call back, against a scripted server over a network in memory and under a paused clock.

mod delivering;
mod opening;
mod peer;
mod stopping;
