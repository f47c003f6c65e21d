//! What the architectures of a profile are to the kernel: `AUDIT_ARCH_*` of linux/audit.h, the size
//! and order of the words in `seccomp_data`, and which of them one kernel can see.

use kan_spec::config::SeccompArch;

use crate::column::Column;
use crate::table::Syscall;

/// Set in the number of every x32 system call (`__X32_SYSCALL_BIT`, asm/unistd.h).
pub(crate) const X32_BIT: u32 = 0x4000_0000;

const WIDE: u32 = 0x8000_0000;
const LITTLE_ENDIAN: u32 = 0x4000_0000;
const MIPS_N32: u32 = 0x2000_0000;

/// Architectures of one family can run on one kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    X86,
    Arm,
    Mips,
    Powerpc,
    S390,
    Parisc,
    Riscv,
    Loongarch,
    M68k,
    Sh,
}

/// One architecture of a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Abi {
    /// `seccomp_data.arch`.
    pub audit: u32,
    pub column: Column,
    family: Family,
    /// Whether all 64 bits of an argument count. As in libseccomp, x32 and n32 compare 32, although
    /// their registers have 64.
    pub wide: bool,
}

impl Abi {
    pub const fn of(arch: SeccompArch) -> Self {
        use SeccompArch as A;
        match arch {
            A::X86 => Self::new(3 | LITTLE_ENDIAN, Column::X86, Family::X86, false),
            A::X86_64 => Self::new(62 | WIDE | LITTLE_ENDIAN, Column::X86_64, Family::X86, true),
            A::X32 => Self::new(62 | WIDE | LITTLE_ENDIAN, Column::X32, Family::X86, false),
            A::Arm => Self::new(40 | LITTLE_ENDIAN, Column::Arm, Family::Arm, false),
            A::Aarch64 => Self::new(
                183 | WIDE | LITTLE_ENDIAN,
                Column::Aarch64,
                Family::Arm,
                true,
            ),
            A::Mips => Self::mips(0, Column::Mips),
            A::Mips64 => Self::mips(WIDE, Column::Mips64),
            A::Mips64n32 => Self::mips(WIDE | MIPS_N32, Column::Mips64n32),
            A::Mipsel => Self::mips(LITTLE_ENDIAN, Column::Mips),
            A::Mipsel64 => Self::mips(WIDE | LITTLE_ENDIAN, Column::Mips64),
            A::Mipsel64n32 => Self::mips(WIDE | MIPS_N32 | LITTLE_ENDIAN, Column::Mips64n32),
            A::Ppc => Self::new(20, Column::Ppc, Family::Powerpc, false),
            A::Ppc64 => Self::new(21 | WIDE, Column::Ppc64, Family::Powerpc, true),
            A::Ppc64le => Self::new(
                21 | WIDE | LITTLE_ENDIAN,
                Column::Ppc64,
                Family::Powerpc,
                true,
            ),
            A::S390 => Self::new(22, Column::S390, Family::S390, false),
            A::S390x => Self::new(22 | WIDE, Column::S390x, Family::S390, true),
            A::Parisc => Self::new(15, Column::Parisc, Family::Parisc, false),
            A::Parisc64 => Self::new(15 | WIDE, Column::Parisc64, Family::Parisc, true),
            A::Riscv64 => Self::new(
                243 | WIDE | LITTLE_ENDIAN,
                Column::Riscv64,
                Family::Riscv,
                true,
            ),
            A::Loongarch64 => Self::new(
                258 | WIDE | LITTLE_ENDIAN,
                Column::Loongarch64,
                Family::Loongarch,
                true,
            ),
            A::M68k => Self::new(4, Column::M68k, Family::M68k, false),
            A::Sh => Self::new(42 | LITTLE_ENDIAN, Column::Sh, Family::Sh, false),
            A::Sheb => Self::new(42, Column::Sh, Family::Sh, false),
        }
    }

    const fn new(audit: u32, column: Column, family: Family, wide: bool) -> Self {
        Self {
            audit,
            column,
            family,
            wide,
        }
    }

    const fn mips(bits: u32, column: Column) -> Self {
        Self::new(
            8 | bits,
            column,
            Family::Mips,
            matches!(column, Column::Mips64),
        )
    }

    /// Whether words are stored with their highest byte first, so that the upper half of an argument
    /// comes before the lower.
    pub const fn big_endian(self) -> bool {
        self.audit & LITTLE_ENDIAN == 0
    }

    /// Whether a kernel whose native architecture is `native` can run programs of this one. 32-bit
    /// natives count their 64-bit sister in: the kernel below a 32-bit kan may well be a 64-bit one.
    pub fn runs_beside(self, native: Self) -> bool {
        self.family == native.family && self.big_endian() == native.big_endian()
    }

    /// The number of a call in `seccomp_data.nr`.
    pub fn number(self, syscall: Syscall) -> Option<u32> {
        let number = syscall.number(self.column)?;
        Some(if self.column == Column::X32 {
            number | X32_BIT
        } else {
            number
        })
    }

    /// On these, socket and System V IPC calls can also be made through socketcall(2) and ipc(2),
    /// with the call in the first argument.
    pub const fn multiplexes(self) -> bool {
        use Column as C;
        matches!(
            self.column,
            C::X86 | C::Mips | C::Ppc | C::Ppc64 | C::S390 | C::S390x | C::M68k | C::Sh
        )
    }
}

/// The architecture that this program was built for, if profiles have a name for it.
#[must_use]
pub const fn native() -> Option<SeccompArch> {
    use SeccompArch as A;
    let little = cfg!(target_endian = "little");
    let narrow = cfg!(target_pointer_width = "32");
    Some(if cfg!(target_arch = "x86_64") {
        if narrow { A::X32 } else { A::X86_64 }
    } else if cfg!(target_arch = "x86") {
        A::X86
    } else if cfg!(target_arch = "aarch64") {
        A::Aarch64
    } else if cfg!(target_arch = "arm") {
        A::Arm
    } else if cfg!(target_arch = "riscv64") {
        A::Riscv64
    } else if cfg!(target_arch = "loongarch64") {
        A::Loongarch64
    } else if cfg!(target_arch = "s390x") {
        A::S390x
    } else if cfg!(target_arch = "powerpc64") {
        if little { A::Ppc64le } else { A::Ppc64 }
    } else if cfg!(target_arch = "powerpc") {
        A::Ppc
    } else if cfg!(target_arch = "mips64") {
        match (little, narrow) {
            (true, true) => A::Mipsel64n32,
            (true, false) => A::Mipsel64,
            (false, true) => A::Mips64n32,
            (false, false) => A::Mips64,
        }
    } else if cfg!(target_arch = "mips") {
        if little { A::Mipsel } else { A::Mips }
    } else if cfg!(target_arch = "m68k") {
        A::M68k
    } else {
        return None;
    })
}
