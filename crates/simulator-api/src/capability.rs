//! Extensions that a server announces.

use crate::open_names::open_names;

open_names! {
    /// An extension of the published protocol that a server speaks. It lists them in the `capabilities` of its answer
    /// to a create or an attach; a server that lists none speaks the published protocol only.
    pub enum Capability {
        /// Requests may carry a [`RequestId`](crate::RequestId).
        RequestId = "requestId",
        /// The same create token from the same key returns the session that the first one made.
        CreateToken = "createToken",
        /// Notifications carry a [`Cursor`](crate::Cursor), and a subscription can resume after one.
        Cursor = "cursor",
        /// A session may begin paused before the first batch of its first slot.
        StartPaused = "startPaused",
        /// The features that are active in a session can be chosen.
        Features = "features",
        /// A session can keep an outcome record of each slot.
        Outcomes = "outcomes",
    }
}
