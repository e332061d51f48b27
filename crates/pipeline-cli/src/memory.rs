//! Returns the memory of finished stages to the system. The only unsafe code of this crate: no safe wrapper of the C
//! function is known.

#![allow(unsafe_code)]

/// Returns free memory to the system, where the C library does not do so by itself.
///
/// The weights of an encoder are freed in pieces, and glibc keeps them: the next encoder would add to them.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    {
        unsafe extern "C" {
            fn malloc_trim(n_kept: usize) -> i32;
        }
        // SAFETY: glibc has this function with these types; it takes no pointer and may be called at any time.
        unsafe { malloc_trim(0) };
    }
}
