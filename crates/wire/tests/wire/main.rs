//! The codec against itself, against other codecs, against hostile bytes, and against what a real Kafka says.

mod advertised;
mod arbitrary;
mod hostile;
mod java;
mod oracles;
mod parts;
mod round_trip;
