mod auth;
mod connections;
mod election;
mod optional;
mod server;
mod serving;
mod telling;
