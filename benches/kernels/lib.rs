//! Times the kernels: `cargo bench -p oxidiff-kernels-bench`.
