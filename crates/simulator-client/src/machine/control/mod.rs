//! The control conversation of a managed session: created once, attached to again after every loss, closed at the end.
//!
//! ```text
//!             connected             sessionCreated                lost
//!   Start ---------------> Creating --------------> Alive: Up ----------> Alive: Offline
//!     ^                       |                      ^     |                  | connected
//!     |        lost           |                      |     |                  v
//!     +-----------------------+              success |     |          Alive: Attaching
//!                                                    |     |                  | sessionAttached
//!                                  Alive: Resuming <-+-----+------------------+
//!                                                          |
//!                  closed, completed, failed               v       success, lost
//!                                                       Closing -----------------> Over
//! ```
//!
//! What is promised, and what is told when it cannot be kept, stands in `docs/delivery.md`.

mod config;
mod handshake;
mod in_flight;
mod machine;
mod order;
mod output;
pub mod parallel;
mod receive;
mod reminders;
mod state;
mod stream;

#[cfg(test)]
mod tests;

pub use config::{AfterCompletion, ControlConfig, ControlOutput, ControlRequest};
pub use machine::ControlMachine;
