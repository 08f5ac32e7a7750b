//! The instructions of classic BPF programs that sort frames in the kernel (socket(7)).

/// Loads 32 bits at an offset of the frame.
pub(crate) fn load_word(at: u32) -> libc::sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at)
}

/// Loads 16 bits.
pub(crate) fn load_half(at: u32) -> libc::sock_filter {
    instruction(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, at)
}

/// Loads one byte.
pub(crate) fn load_byte(at: u32) -> libc::sock_filter {
    instruction(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, at)
}

/// Skips that many instructions when the loaded value is, or is not, the constant.
pub(crate) fn equal(value: u32, if_so: u8, if_not: u8) -> libc::sock_filter {
    libc::sock_filter {
        jt: if_so,
        jf: if_not,
        ..instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value)
    }
}

/// Ends with that many bytes of the frame; 0 drops it.
pub(crate) fn returns(bytes: u32) -> libc::sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, bytes)
}

/// Any other instruction.
pub(crate) fn instruction(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k,
    }
}
