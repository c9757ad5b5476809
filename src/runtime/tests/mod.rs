mod auth;
mod election;
mod optional;
mod server;
mod serving;
mod telling;
