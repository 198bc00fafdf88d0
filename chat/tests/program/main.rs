//! Tests of the program `switchboard`, started as an operator starts it.
#![cfg(target_os = "linux")]

mod attacks;
mod command;
mod connect;
mod control;
mod data;
mod durability;
mod limits;
mod listeners;
mod reactor;
mod redirect;
mod reload;
mod settings;
mod support;
mod systemd;
mod tls;
