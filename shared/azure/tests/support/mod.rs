//! What the unit tests of the adapters share.

mod server;
mod table;

pub(crate) use server::{Reply, TestServer, account, azure, config, quick};
pub(crate) use table::{NO_ROW, SAGA, inner, row, store};
