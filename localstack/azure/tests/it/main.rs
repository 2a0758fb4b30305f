//! The stand-in against its neighbours: publishers, webhooks, storage and a custom handler.

#[cfg(test)]
mod bench;
#[cfg(test)]
mod functions;
#[cfg(test)]
mod issuer;
#[cfg(test)]
mod restart;
#[cfg(test)]
mod storage;
#[cfg(test)]
mod topic;
#[cfg(test)]
mod webhook;
