//! Has this crate built again when a definition file is added, changed or taken away: the macro that includes the
//! folder cannot say so by itself.

fn main() {
    println!("cargo::rerun-if-changed=definitions");
}
