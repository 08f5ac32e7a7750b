//! Sockets for `wire` and `membership`: the protocol thread and the TCP streams.
