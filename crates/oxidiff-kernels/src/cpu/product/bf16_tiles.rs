//! Products of `bf16` matrices in the tile registers of Intel's Advanced Matrix Extensions (AMX): an instruction multiplies 16
//! rows of 32 values with 32 rows of 16 values. (Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1,
//! chapter 18.)

use super::bf16_dot::Group;
use super::panel::Product;

/// Rows of a tile.
const ROWS: usize = 16;
/// Groups in a row of a tile: 64 bytes.
const GROUPS: usize = 16;
/// Rows that are multiplied together: two tiles.
pub(super) const ROW_STEP: usize = 2 * ROWS;
/// Groups in a row of a panel: two tiles side by side.
pub(super) const WIDTH: usize = 2 * GROUPS;

/// Whether the processor has the instructions, and the operating system lets this process use them.
pub(super) fn are_there() -> bool {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    return permission::granted();
    #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
    return false;
}

/// # Safety
/// As for [`super::Unit::multiply`], where panels are [`WIDTH`] groups wide. [`are_there`] must be true.
pub(super) unsafe fn multiply(rows: usize, product: Product<Group>) {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    // SAFETY: the caller makes the same promises.
    unsafe {
        with_instructions::multiply(rows, product);
    }
    #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
    unreachable!("{rows} rows of {:?} where there are no tiles", product.left);
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod permission {
    use std::arch::x86_64::__cpuid_count;
    use std::sync::LazyLock;

    pub(super) fn granted() -> bool {
        static GRANTED: LazyLock<bool> = LazyLock::new(|| has_instructions() && request());
        *GRANTED
    }

    fn has_instructions() -> bool {
        const AMX_BF16: u32 = 1 << 22;
        const AMX_TILE: u32 = 1 << 24;
        if __cpuid_count(0, 0).eax < 7 {
            return false;
        }
        let features = __cpuid_count(7, 0).edx;
        features & AMX_BF16 != 0 && features & AMX_TILE != 0
    }

    /// Asks Linux for the registers, whose 8 KiB it only saves for processes that asked. The answer holds for all threads.
    /// (<https://docs.kernel.org/arch/x86/xstate.html>)
    fn request() -> bool {
        const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
        const XFEATURE_XTILEDATA: libc::c_long = 18;
        // SAFETY: this call reads and writes none of the process's memory.
        unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod with_instructions {
    use std::arch::asm;

    use super::{GROUPS, Group, Product, ROW_STEP, ROWS, WIDTH};
    use crate::cpu::prefetch::{Ahead, Strided};

    /// Bytes from one row of a panel to the next.
    const PANEL_STRIDE: usize = WIDTH * size_of::<Group>();

    /// The shapes of the tiles, as `ldtilecfg` reads them.
    #[repr(C, align(64))]
    struct Shapes {
        palette: u8,
        start_row: u8,
        reserved: [u8; 14],
        /// Bytes in a row of each tile.
        bytes: [u16; 16],
        rows: [u8; 16],
    }

    impl Shapes {
        /// Sums in tiles 0 to 3, the left matrix in 4 and 5, the panel in 6 and 7: an upper and a lower part of `rows` rows of the left
        /// matrix, `groups` of each row.
        fn new(rows: usize, groups: usize) -> Self {
            let row = (size_of::<Group>() * groups) as u16;
            let [rows, groups] = [rows, groups].map(|count| count as u8);
            let mut shapes =
                Self { palette: 1, start_row: 0, reserved: [0; 14], bytes: [0; 16], rows: [0; 16] };
            shapes.bytes[..8].copy_from_slice(&[64, 64, 64, 64, row, row, 64, 64]);
            shapes.rows[..8].copy_from_slice(&[rows, rows, rows, rows, rows, rows, groups, groups]);
            shapes
        }

        /// Sets the shapes of this thread's tiles.
        ///
        /// # Safety
        /// [`super::are_there`] must be true, and no tile may be in use.
        unsafe fn set(&self) {
            // SAFETY: the structure is 64 bytes long, and the instruction only reads it.
            unsafe { asm!("ldtilecfg [{}]", in(reg) self, options(nostack, readonly, preserves_flags)) };
        }
    }

    /// # Safety
    /// As for [`super::multiply`].
    pub unsafe fn multiply(rows: usize, product: Product<Group>) {
        let Product { depth, left, panel, add, .. } = product;
        let whole = depth / GROUPS * GROUPS;
        // SAFETY: both parts of the depth are inside the matrices that the caller promises.
        unsafe {
            if whole > 0 || depth == 0 {
                all_rows(rows, GROUPS, Product { depth: whole, ..product });
            }
            if whole < depth {
                let (left, panel) = (left.add(whole), panel.add(whole * WIDTH));
                let (add, ahead) = (add || whole > 0, [Ahead::NONE; 3]);
                let rest = Product { depth: depth - whole, left, panel, add, ahead, ..product };
                all_rows(rows, depth - whole, rest);
            }
            // Registers in use make switching between threads slower.
            asm!("tilerelease", options(nostack, nomem, preserves_flags));
        }
    }

    /// The product of all rows, `groups` of each at once, which divide the depth.
    ///
    /// # Safety
    /// As for [`multiply`].
    unsafe fn all_rows(rows: usize, groups: usize, product: Product<Group>) {
        let whole = rows / ROW_STEP * ROW_STEP;
        let [_, mut ahead, mut other] = product.ahead;
        let ahead_at_once = (ahead.row_count() + other.row_count()).div_ceil(rows.div_ceil(ROW_STEP));
        let mut next_ahead = || {
            let rows = ahead.take_rows(ahead_at_once);
            if rows.rows > 0 { rows } else { other.take_rows(ahead_at_once) }
        };
        // SAFETY: each block is inside the rows, for which the caller promises the rest; no tile is in use between blocks.
        unsafe {
            if whole > 0 {
                Shapes::new(ROWS, groups).set();
            }
            for row in (0..whole).step_by(ROW_STEP) {
                block([row, row + ROWS], groups, product, next_ahead());
            }
            if whole < rows {
                // Both parts have equally many rows: they share one if the number is odd.
                let count = (rows - whole).div_ceil(2);
                Shapes::new(count, groups).set();
                block([whole, rows - count], groups, product, next_ahead());
            }
        }
    }

    /// Where sums go: the first of the upper and the lower rows, and the bytes from one to the next, in the order in which [`block`]
    /// reads them.
    #[repr(C)]
    struct Sums {
        upper: *mut f32,
        lower: *mut f32,
        stride: usize,
    }

    /// The product of the rows from each of two starts on, as many as the tiles have. Rows that are in both are computed twice and
    /// stored twice: all sums are read before any is stored.
    ///
    /// # Safety
    /// As for [`all_rows`], with the shapes set.
    #[inline]
    unsafe fn block(starts: [usize; 2], groups: usize, product: Product<Group>, ahead: Strided) {
        let Product { depth, left, left_stride, panel, out, out_stride, add, .. } = product;
        let [upper, lower] = starts.map(|row| left.wrapping_add(row * left_stride));
        let [upper_out, lower_out] = starts.map(|row| out.wrapping_add(row * out_stride));
        let sums = Sums { upper: upper_out, lower: lower_out, stride: out_stride * size_of::<f32>() };
        // SAFETY: tiles are read and written inside the matrices, for which the caller promises the rest. All tiles are named as
        // overwritten; the direction of strings and the stack stay as they are.
        unsafe {
            asm!(
                "test {count}, {count}",
                "jz 2f",
                "mov {count}, [{sums} + 16]",
                "mov {place}, [{sums}]",
                "tileloadd tmm0, [{place} + {count}]",
                "tileloadd tmm1, [{place} + {count} + 64]",
                "mov {place}, [{sums} + 8]",
                "tileloadd tmm2, [{place} + {count}]",
                "tileloadd tmm3, [{place} + {count} + 64]",
                "jmp 3f",
                "2:",
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "3:",
                "test {steps}, {steps}",
                "jz 7f",
                "4:",
                "tileloadd tmm4, [{upper} + {left_stride}]",
                "tileloadd tmm6, [{panel} + {panel_stride}]",
                "tileloadd tmm7, [{panel} + {panel_stride} + 64]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloadd tmm5, [{lower} + {left_stride}]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {upper}, 64",
                "add {lower}, 64",
                "add {panel}, {panel_step}",
                // A line of each row that is needed later.
                "mov {place}, {ahead}",
                "mov {count}, {ahead_rows}",
                "test {count}, {count}",
                "jz 6f",
                "5:",
                "prefetcht1 [{place}]",
                "add {place}, {ahead_stride}",
                "dec {count}",
                "jnz 5b",
                "6:",
                "add {ahead}, 64",
                "dec {steps}",
                "jnz 4b",
                "7:",
                "mov {count}, [{sums} + 16]",
                "mov {place}, [{sums}]",
                "tilestored [{place} + {count}], tmm0",
                "tilestored [{place} + {count} + 64], tmm1",
                "mov {place}, [{sums} + 8]",
                "tilestored [{place} + {count}], tmm2",
                "tilestored [{place} + {count} + 64], tmm3",
                count = inout(reg) usize::from(add) => _,
                place = out(reg) _,
                sums = in(reg) &sums,
                steps = inout(reg) depth / groups => _,
                upper = inout(reg) upper => _,
                lower = inout(reg) lower => _,
                left_stride = in(reg) left_stride * size_of::<Group>(),
                panel = inout(reg) panel => _,
                panel_stride = in(reg) PANEL_STRIDE,
                panel_step = const GROUPS * PANEL_STRIDE,
                ahead = inout(reg) ahead.first => _,
                ahead_stride = in(reg) ahead.stride,
                ahead_rows = in(reg) ahead.rows,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}
