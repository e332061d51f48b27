//! weights (being written).
