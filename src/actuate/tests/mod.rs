//! What is sent, in which order, and what becomes of the answers.

mod sending;
mod writing;
