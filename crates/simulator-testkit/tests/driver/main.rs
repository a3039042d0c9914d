//! The managed session, with its tasks and sockets, against a scripted server: in memory under a paused clock, and over
//! real sockets through a proxy that treats them badly.

mod memory;
mod program;
mod proxy;
