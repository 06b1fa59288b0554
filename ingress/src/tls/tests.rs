//! TLS from outside: certificates made for the test, and rustls as a client.

mod clients;
mod handshakes;
mod loading;
mod names;
mod reloads;
mod world;
