//! The control conversation of a managed session: created once, attached to again after every loss, closed at the end.

mod machine;

pub use machine::{AfterCompletion, ControlConfig, ControlMachine, ControlOutput, ControlRequest};
