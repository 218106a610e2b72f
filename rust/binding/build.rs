//! Tells the code which Python it is built for.

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
    println!("cargo::rustc-check-cfg=cfg(has_dict_version)");
    println!("cargo::rustc-check-cfg=cfg(has_frame_positions)");
    println!("cargo::rustc-check-cfg=cfg(has_dict_watchers)");
    println!("cargo::rerun-if-changed=build.rs");
    let config = pyo3_build_config::get();
    let version = (config.version().major, config.version().minor);
    let is_abi3 = std::env::var_os("CARGO_FEATURE_ABI3").is_some();
    if version >= (3, 11) && !is_abi3 {
        println!("cargo::rustc-cfg=has_frame_positions");
    }
    if version >= (3, 12) && !is_abi3 {
        println!("cargo::rustc-cfg=has_dict_watchers");
    }
    // From 3.13 on the interpreter may change an instance's attributes without a new version of
    // their dict; from 3.14 on dicts have none.
    if version <= (3, 12) && !is_abi3 {
        println!("cargo::rustc-cfg=has_dict_version");
    }
}
