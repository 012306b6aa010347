//! Errors as callers see them: the one table of kinds, and the body made of them. It classifies nothing:
//! who failed and whether to retry is decided elsewhere, and arrives here as an [`ErrorType`].

mod body;
mod table;

pub use self::body::{Availability, ErrorBody, PreviousError};
pub use self::table::{ErrorRow, ErrorType};

#[cfg(test)]
mod tests;
