//! RESP, both ways: requests in ([`parser`]), replies out ([`reply`]), requests as bytes for the log ([`encode`]).

pub mod encode;
pub mod out;
pub mod parser;
pub mod reply;

pub use out::Out;
pub use reply::{Proto, Reply};
