//! From requests to answers: who may ask, what is asked for, and in which form it is answered.

mod answer;
mod assets;
mod guard;
mod routes;
mod stream;

pub(crate) use answer::{Answer, Wants, secure, troubled};
pub(crate) use guard::Guard;
pub(crate) use routes::router;
