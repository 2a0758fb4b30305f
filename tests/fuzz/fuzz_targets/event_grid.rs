#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| saga_fuzz::event_grid(bytes));
