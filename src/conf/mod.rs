//! corosync.conf, sysconfig files and the authkey: what an administrator writes.
