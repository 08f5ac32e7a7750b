//! The native floating IP: IPaddr2 and IPaddr served in-process through `netlink`.
