//! `linux.seccomp`: config-linux.md, Seccomp.

use super::closed_set;

/// The system call filter (config-linux.md, Seccomp). Names and numbers are as libseccomp's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeccompProfile {
    /// `defaultAction`: for system calls that no rule names.
    pub default_action: SeccompAction,
    /// `defaultErrnoRet`: the errno for `defaultAction` ERRNO or TRACE; absent is EPERM.
    pub default_errno_ret: Option<u32>,
    /// `architectures`: beside the native one; empty means only that.
    pub architectures: Vec<SeccompArch>,
    /// `flags`: an absent key is not the same as an empty list, which runc takes as "no flags at
    /// all".
    pub flags: Option<Vec<SeccompFlag>>,
    /// `listenerPath`: UNIX socket of the seccomp agent.
    pub listener_path: Option<String>,
    /// `listenerMetadata`: opaque text for the agent.
    pub listener_metadata: Option<String>,
    /// `syscalls`: rules, in this order.
    pub syscalls: Vec<SyscallRule>,
}

/// One entry of `linux.seccomp.syscalls`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyscallRule {
    /// `names`: system calls; a name that the kernel does not know is skipped by everyone.
    pub names: Vec<String>,
    /// `action`
    pub action: SeccompAction,
    /// `errnoRet`: the errno for ERRNO or TRACE; absent is EPERM.
    pub errno_ret: Option<u32>,
    /// `args`: conditions, all of which must hold.
    pub args: Vec<SeccompArg>,
}

/// One entry of `linux.seccomp.syscalls[].args`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeccompArg {
    /// `index`: 0 to 5.
    pub index: u32,
    /// `value`: compared with the argument; for MASKED_EQ the mask.
    pub value: u64,
    /// `valueTwo`: for MASKED_EQ the value after masking. Absent is zero.
    pub value_two: u64,
    /// `op`
    pub op: SeccompOperator,
}

closed_set! {
    /// What happens to a system call, see seccomp(2).
    SeccompAction("seccomp action") {
        /// Kill the thread (libseccomp's old name of KILL_THREAD).
        Kill = "SCMP_ACT_KILL",
        /// Kill the process.
        KillProcess = "SCMP_ACT_KILL_PROCESS",
        /// Kill the thread.
        KillThread = "SCMP_ACT_KILL_THREAD",
        /// Send SIGSYS.
        Trap = "SCMP_ACT_TRAP",
        /// Fail with an errno.
        Errno = "SCMP_ACT_ERRNO",
        /// Tell the tracer.
        Trace = "SCMP_ACT_TRACE",
        /// Let it through.
        Allow = "SCMP_ACT_ALLOW",
        /// Let it through and log it.
        Log = "SCMP_ACT_LOG",
        /// Ask the agent at `listenerPath`.
        Notify = "SCMP_ACT_NOTIFY",
    }
}

closed_set! {
    /// `linux.seccomp.syscalls[].args[].op`.
    SeccompOperator("seccomp operator") {
        /// Not equal.
        Ne = "SCMP_CMP_NE",
        /// Less than.
        Lt = "SCMP_CMP_LT",
        /// Less or equal.
        Le = "SCMP_CMP_LE",
        /// Equal.
        Eq = "SCMP_CMP_EQ",
        /// Greater or equal.
        Ge = "SCMP_CMP_GE",
        /// Greater than.
        Gt = "SCMP_CMP_GT",
        /// `argument & value == valueTwo`.
        MaskedEq = "SCMP_CMP_MASKED_EQ",
    }
}

closed_set! {
    /// `linux.seccomp.flags[]`, see seccomp(2).
    SeccompFlag("seccomp flag") {
        /// Apply to every thread.
        Tsync = "SECCOMP_FILTER_FLAG_TSYNC",
        /// Log actions other than ALLOW.
        Log = "SECCOMP_FILTER_FLAG_LOG",
        /// Leave the speculative store bypass mitigation off.
        SpecAllow = "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        /// Only fatal signals interrupt a wait for the agent (Linux 5.19).
        WaitKillableRecv = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
    }
}

closed_set! {
    /// `linux.seccomp.architectures[]`.
    SeccompArch("seccomp architecture") {
        /// i386.
        X86 = "SCMP_ARCH_X86",
        /// x86_64.
        X86_64 = "SCMP_ARCH_X86_64",
        /// x86_64 with 32-bit pointers.
        X32 = "SCMP_ARCH_X32",
        /// 32-bit Arm EABI.
        Arm = "SCMP_ARCH_ARM",
        /// 64-bit Arm.
        Aarch64 = "SCMP_ARCH_AARCH64",
        /// MIPS o32, big-endian.
        Mips = "SCMP_ARCH_MIPS",
        /// MIPS n64, big-endian.
        Mips64 = "SCMP_ARCH_MIPS64",
        /// MIPS n32, big-endian.
        Mips64n32 = "SCMP_ARCH_MIPS64N32",
        /// MIPS o32, little-endian.
        Mipsel = "SCMP_ARCH_MIPSEL",
        /// MIPS n64, little-endian.
        Mipsel64 = "SCMP_ARCH_MIPSEL64",
        /// MIPS n32, little-endian.
        Mipsel64n32 = "SCMP_ARCH_MIPSEL64N32",
        /// 32-bit PowerPC.
        Ppc = "SCMP_ARCH_PPC",
        /// 64-bit PowerPC, big-endian.
        Ppc64 = "SCMP_ARCH_PPC64",
        /// 64-bit PowerPC, little-endian.
        Ppc64le = "SCMP_ARCH_PPC64LE",
        /// 31-bit S/390.
        S390 = "SCMP_ARCH_S390",
        /// 64-bit S/390.
        S390x = "SCMP_ARCH_S390X",
        /// 32-bit PA-RISC.
        Parisc = "SCMP_ARCH_PARISC",
        /// 64-bit PA-RISC.
        Parisc64 = "SCMP_ARCH_PARISC64",
        /// 64-bit RISC-V.
        Riscv64 = "SCMP_ARCH_RISCV64",
        /// 64-bit LoongArch.
        Loongarch64 = "SCMP_ARCH_LOONGARCH64",
        /// Motorola 68000.
        M68k = "SCMP_ARCH_M68K",
        /// SuperH, little-endian.
        Sh = "SCMP_ARCH_SH",
        /// SuperH, big-endian.
        Sheb = "SCMP_ARCH_SHEB",
    }
}
