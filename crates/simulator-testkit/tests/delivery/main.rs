//! What is delivered when the link fails: the client's machines against a scripted server.
//!
//! The server is written from the specification and knows nothing of the client's code. Time is a number, nothing
//! waits, and every run is the same each time.

mod callers;
mod every_cut;
mod handshakes;
mod parallel;
mod published;
mod replays;
mod scene;
