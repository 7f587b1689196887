//! A small 9P2000.L client.
