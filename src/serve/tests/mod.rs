mod election;
mod gate;
mod server;
mod serving;
mod telling;
