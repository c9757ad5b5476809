mod election;
mod server;
mod serving;
mod telling;
