mod replaying;
mod suggesting;
